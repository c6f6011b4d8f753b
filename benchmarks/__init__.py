"""Benchmarks of the real service: ratios to bare hnswlib, measured in turns on the same processors."""
