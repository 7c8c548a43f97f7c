"""Frozen networks that two or more methods share."""
