"""Everything between bytes and pictures; only `padding` loads torch."""
