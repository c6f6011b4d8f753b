"""A router: takes writes into the documents log, asks one replica of every shard, and merges what they find."""
