"""Qt pieces of the nodule panel."""
