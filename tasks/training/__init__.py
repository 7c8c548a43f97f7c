"""Loops, data and checkpoints for the networks we ship."""
