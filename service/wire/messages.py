"""Messages between processes: of routers and nodes as msgpack, with vectors as raw float32; of drills as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from service.storage.metadata import Value

MEDIA_TYPE = "application/msgpack"
LOG_ALONE = "the log alone"  # `restored_from` of a node that had no snapshot
PASSED_DRILL_KEY = "drills/passed.json"  # in the index bucket


class ShardQuery(msgspec.Struct, frozen=True):
    """
    A search in one shard of `build`, as of `min_position` or later, for which it waits at most `wait_seconds`.

    `filter` is a parsed filter of service.index.filters.
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
        """Return the vector, shape (dims,)."""
        return np.frombuffer(self.vector, np.float32)


class Hit(msgspec.Struct, frozen=True):
    """A found document: the text of its best chunk, and the metric's score, greater if nearer."""

    source_id: str
    title: str
    text: str
    score: float
    metadata: dict[str, Value] = {}


class ShardAnswer(msgspec.Struct, frozen=True):
    """One shard's nearest documents, as of `position`; not `complete` if the replica is not ready."""

    position: int
    hits: list[Hit]
    complete: bool = True


class ShardSnapshotRequest(msgspec.Struct, frozen=True):
    """A request for a snapshot of one shard of `build`, at `min_position` or later."""

    build: str
    min_position: int = 0
    wait_seconds: float = 0.0


class SnapshotAnswer(msgspec.Struct, frozen=True):
    """The replica has a snapshot at `position` or later, or will make one."""

    position: int


class ShardLookup(msgspec.Struct, frozen=True):
    """A look-up of documents of a collection in one shard of `build`."""

    build: str
    source_ids: list[str]
    min_position: int = 0
    wait_seconds: float = 0.0
    collection: int = 0


class Found(msgspec.Struct, frozen=True):
    """The place where a document was written, and the sha256 of its title and text in hex."""

    position: int
    item: int
    content_hash: str


class LookupAnswer(msgspec.Struct, frozen=True):
    """The documents that the shard holds, by source_id; all of them if the answer is `complete`."""

    position: int
    documents: dict[str, Found]
    complete: bool = True


class PassedDrill(msgspec.Struct, frozen=True):
    """The page whose drill passed last, and the time, in milliseconds since 1970 by the store's clock."""

    page: str
    at_ms: int
