"""Why a nodule was marked, why its risk is what it is, and what it resembles."""
