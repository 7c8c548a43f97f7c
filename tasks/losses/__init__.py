"""Losses shared by methods, training and scores."""
