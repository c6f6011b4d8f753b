"""What a router and a node say to each other, as msgpack: vectors travel as raw float32."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from service.index.collection import Hit

MEDIA_TYPE = "application/msgpack"
LOG_ALONE = "the log alone"  # what a node without a snapshot was restored from


class ShardQuery(msgspec.Struct, frozen=True):
    """
    Search a collection in one shard of `build`, at `min_position` or later, waiting for it at most `wait_seconds`.

    `filter` is one as service.index.filters parses it.
    """

    build: str
    vector: bytes
    k: int
    exact: bool = False
    min_position: int = 0
    wait_seconds: float = 0.0
    filter: dict[str, dict[str, Any]] | None = None
    collection: int = 0

    def array(self) -> npt.NDArray[np.float32]:
        """The vector, shape (dims,)."""
        return np.frombuffer(self.vector, np.float32)


class ShardAnswer(msgspec.Struct, frozen=True):
    """One shard's nearest documents, as of `position`; not `complete` where the replica is not ready."""

    position: int
    hits: list[Hit]
    complete: bool = True


class SnapshotAsk(msgspec.Struct, frozen=True):
    """Have a snapshot of one shard of `build` made, at `min_position` or later."""

    build: str
    min_position: int = 0
    wait_seconds: float = 0.0


class SnapshotAsked(msgspec.Struct, frozen=True):
    """A snapshot at `position` or later is there or will be, unless this replica goes away."""

    position: int


class ShardLookup(msgspec.Struct, frozen=True):
    """Which of these documents of a collection does one shard of `build` hold?"""

    build: str
    source_ids: list[str]
    min_position: int = 0
    wait_seconds: float = 0.0
    collection: int = 0


class Found(msgspec.Struct, frozen=True):
    """Where a held document was written, and the sha256 of its title and text in hex."""

    position: int
    item: int
    content_hash: str


class LookupAnswer(msgspec.Struct, frozen=True):
    """The documents held, by source_id; what isn't there isn't held, if the answer is `complete`."""

    position: int
    documents: dict[str, Found]
    complete: bool = True
