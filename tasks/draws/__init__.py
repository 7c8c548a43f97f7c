"""Draws: which styles of a bank each content gets, how strong, and from which part of the bank."""
