"""Radiomics of any mask on a volume, with the names and definitions of IBSI."""
