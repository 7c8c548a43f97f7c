"""Seeded fuzzing of everything that reads what strangers wrote: `python -m tests.fuzz --help`."""
