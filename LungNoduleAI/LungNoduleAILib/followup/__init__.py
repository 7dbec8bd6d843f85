"""Two CTs of one patient: which nodule is which, and how each has changed."""
