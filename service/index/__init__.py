"""One shard in memory: an immutable base, the exact delta written since, and how both answer together."""
