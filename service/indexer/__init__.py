"""The indexer: turns the documents log into shard logs, exactly once, however often it is killed."""
