"""A node: one replica of one shard, restored from S3 and kept up with its log."""
