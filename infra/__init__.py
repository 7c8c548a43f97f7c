"""Infrastructure: example jobs and benchmarks."""
