"""Weights: where they are, what they are, and how they are read without running anything in them."""
