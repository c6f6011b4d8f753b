"""The search service: nodes, routers and the indexer, with S3 as the truth."""

VERSION = "0.1.0"
