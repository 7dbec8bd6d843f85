"""What guidelines say of a nodule, and risk models: each answer with its rule or its terms, never a diagnosis."""
