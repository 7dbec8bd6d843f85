"""Recipes that made the built-in weights, and fine-tuning on a user's data."""
