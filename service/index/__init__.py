"""A shard in memory: an immutable base, the delta written since, and the search over both."""
