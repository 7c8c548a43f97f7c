"""Banks: up to 100,000 styles with their representations in one packed object, mapped into memory on each node."""
