"""Index parameters: types, defaults and bounds. Standard library only, since instances carry this file."""

from __future__ import annotations

from typing import Literal, get_args

IndexType = Literal["flat", "hnsw", "ivf", "pq"]
INDEX_TYPES: tuple[IndexType, ...] = get_args(IndexType)

# A value of 0 lets the service choose: `lists` by the number of rows, `probes` by the number of lists.
DEFAULTS = {
    "m": 16,
    "ef_construction": 200,
    "ef_search": 100,
    "lists": 0,
    "probes": 0,
    "code_dims": 4,
    "rescored": 8,
}
# Values outside these bounds improve no type: an index only becomes slower or larger.
BOUNDS = {
    "m": (8, 64),
    "ef_construction": (100, 500),
    "ef_search": (50, 500),
    "lists": (0, 1_000_000),
    "probes": (0, 1_000_000),
    "code_dims": (1, 64),
    "rescored": (0, 100),
}
# The parameters that decide the contents of an index. The others belong to another type or to a search.
BUILT_BY: dict[str, tuple[str, ...]] = {
    "flat": (),
    "hnsw": ("m", "ef_construction"),
    "ivf": ("lists",),
    "pq": ("lists", "code_dims"),
}
SEARCHED_BY = ("ef_search", "probes", "rescored")
