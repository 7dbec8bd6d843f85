"""From a lesion to a structure set that a planning system accepts."""
