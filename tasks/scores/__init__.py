"""Scores of records."""
