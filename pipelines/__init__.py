"""What runs: Prefect flows and the ways in."""
