"""Limits of the public API, which callers of it know as well."""

from __future__ import annotations

MAX_K = 1_000
MAX_COMPONENT = 1e15
MAX_BATCH = 1_000
MAX_SEARCHES = 64
MAX_SNAPSHOTS = 100
MAX_BODY_BYTES = 16 << 20
MAX_SOURCE_ID = 512
MAX_TEXT_BYTES = 1 << 20
# Every chunk is embedded under its title, so a long one costs the indexer its length times thousands.
MAX_TITLE = 1_024
# A text is embedded between two other requests: 7 s of nothing else for 2.4 MB.
MAX_QUERY = 20_000
MIN_DIMS, MAX_DIMS = 2, 16_384
