"""What the public API answers, as types: the same that its OpenAPI document describes."""

from __future__ import annotations

from typing import Literal

import msgspec

from service.index.collection import Hit
from service.node.messages import Found
from service.router.indexers import IndexerStatus
from service.router.replicas import ReplicaStatus
from service.storage.builds import Build, IndexParameters, Recipe
from service.storage.collections import Source
from service.storage.metadata import Value
from service.storage.verdicts import Level


class WriteResult(msgspec.Struct, frozen=True):
    """The place of one document of a write: item `item` of entry `position`. A repetition has the first's place."""

    source_id: str
    request_id: str
    item: int
    position: int


class WriteAnswer(msgspec.Struct, frozen=True):
    """The write is stored: searches as of `position`, the newest of its documents' own, reflect it."""

    position: int
    results: list[WriteResult]


class LookupDocuments(msgspec.Struct, frozen=True):
    """What is held of each document asked for, null where nothing is; nothing older than `position` counts."""

    position: int
    documents: dict[str, Found | None]


class DocumentAnswer(msgspec.Struct, frozen=True):
    """A document as it was last written; `vector` is null where texts are embedded."""

    source_id: str
    position: int
    item: int
    content_hash: str
    title: str
    text: str
    metadata: dict[str, Value]
    vector: list[float] | None


class CollectionAnswer(msgspec.Struct, frozen=True):
    """
    A collection and what it holds. `model` and `dims` are of its vectors in this slot; `index` is null before the slot
    has a build, and `documents` while a shard says nothing of it.
    """

    name: str
    id: int
    source: Source
    model: str
    dims: int
    metric: str
    index: IndexParameters | None
    documents: int | None


class CollectionsAnswer(msgspec.Struct, frozen=True):
    """The collections that there are at `position` of the documents log or later, the default one first."""

    position: int
    collections: list[CollectionAnswer]


class DroppedAnswer(msgspec.Struct, frozen=True):
    """A collection that was dropped, by the entry at `position`."""

    name: str
    id: int
    position: int


class SearchAnswer(msgspec.Struct, frozen=True):
    """
    The nearest documents, best first; `partial` where a shard gave no answer, or only a replica that is not ready did.
    """

    hits: list[Hit]
    shards_total: int
    shards_answered: int
    partial: bool
    position: int


class SearchFailure(msgspec.Struct, frozen=True):
    """Why one search of a batch has no answer, as a problem of its own."""

    status: int
    title: str
    detail: str


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one search of a batch: either an answer or a problem."""

    answer: SearchAnswer | None = None
    problem: SearchFailure | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """A result for each search of a batch, in order."""

    results: list[BatchResult]


class SlotBuild(msgspec.Struct, frozen=True):
    """A slot and the build that it points at, null before there is one."""

    slot: str
    build: Build | None


class SlotsAnswer(msgspec.Struct, frozen=True):
    """Both slots of the fleet."""

    slots: list[SlotBuild]


class Snapshot(msgspec.Struct, frozen=True):
    """
    What a snapshot's manifest says; where that can't be trusted, `refused` says why and the rest says nothing.

    `level` says how far it was verified, when and by whom: `listed` where its manifest is damaged, `manifest` where
    that is whole, `files` where every byte was read and hashed, `served` where a node answered from it. A node or a
    verification may also have `refused` it later than it was last proven.
    """

    name: str
    refused: str = ""
    position: int = 0
    generation: int = 0
    rows: int = 0
    documents: int = 0
    digest: str = ""
    created_ms: int = 0
    size_bytes: int = 0
    writer: str = ""
    level: Level = "listed"
    verified_ms: int = 0
    verified_by: str = ""


class ShardSnapshots(msgspec.Struct, frozen=True):
    """How many snapshots a shard has, and the newest of them."""

    shard: int
    total: int
    newest: list[Snapshot]


class SnapshotsAnswer(msgspec.Struct, frozen=True):
    """The snapshots of a build, shard by shard."""

    build: str
    shards: list[ShardSnapshots]


# Within the limit; beyond it and gaining; beyond it and not; no replica is ready, but one restores; nobody knows.
LagState = Literal["current", "indexing", "standing", "restoring", "unknown"]


class ShardLag(msgspec.Struct, frozen=True):
    """
    A shard's lag behind the documents log: so many `positions`, the oldest of which was written `seconds` ago.

    `reason` says why it is not current. `eta_seconds` is null while the shard does not come nearer to the head, and
    the figures are null while no replica says where it stands.
    """

    state: LagState
    reason: str = ""
    position: int | None = None
    positions: int | None = None
    seconds: float | None = None
    positions_per_second: float = 0.0
    eta_seconds: float | None = None


class ShardStatus(msgspec.Struct, frozen=True):
    """A shard: how far it lags, and its replicas in the order of their names."""

    shard: int
    lag: ShardLag
    replicas: list[ReplicaStatus]


class StatusAnswer(msgspec.Struct, frozen=True):
    """
    A slot as this router sees it. `build` and `recipe` are null before there is a build. `head` is the newest position
    of the documents log that is known; `head_fault` says why it may have grown since, empty where it was just found.
    A shard that lags more than `lag_limit_seconds` is not current. `misconfigured` says what of the configuration the
    build refuses, `indexing` whether indexers run always or at set times.
    """

    fleet: str
    slot: str
    build: str | None
    recipe: Recipe | None
    misconfigured: str
    head: int
    head_fault: str
    lag_limit_seconds: float
    indexing: str
    indexers: list[IndexerStatus]
    shards: list[ShardStatus]


class VerifyingSnapshots(msgspec.Struct, frozen=True):
    """Snapshots whose bytes are being read, as they were before: a later `verified_ms` of each is the answer."""

    build: str
    shards: list[ShardSnapshots]


class AskedShard(msgspec.Struct, frozen=True):
    """A shard whose replicas were asked: its next snapshot has at least this position."""

    shard: int
    position: int


class AskedSnapshots(msgspec.Struct, frozen=True):
    """Snapshots are on their way, or there already."""

    build: str
    shards: list[AskedShard]


class ProblemDetails(msgspec.Struct, frozen=True):
    """RFC 9457: what went wrong, in a sentence; further members say which limit, and when to ask again."""

    title: str
    status: int
    detail: str
    request_id: str = ""
    retry_after_seconds: int = 0
