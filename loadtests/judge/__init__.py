"""The gate: evidence, its tally, and the verdict."""
