"""Benchmarks; each prints what it measured, and the dated notes beside them keep it."""
