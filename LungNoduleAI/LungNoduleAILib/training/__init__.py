"""Recipes that made what ships."""
