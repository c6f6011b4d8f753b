"""Answers of the public API, as the types that its OpenAPI document describes."""

from __future__ import annotations

from typing import Literal

import msgspec

from service.router.indexers import IndexerStatus
from service.router.replicas import ReplicaStatus
from service.storage.builds import Build, IndexParameters, Recipe
from service.storage.collections import Source
from service.storage.documents import Place
from service.storage.metadata import Value
from service.storage.verdicts import Level
from service.wire.messages import Found, Hit


class WriteResult(msgspec.Struct, frozen=True):
    """The place of a document: item `item` of entry `position`. A repeated write has the first one's place."""

    source_id: str
    request_id: str
    item: int
    position: int


class WriteAnswer(msgspec.Struct, frozen=True):
    """A stored write. Searches as of `position`, the newest of its documents, reflect it."""

    position: int
    results: list[WriteResult]


class LookupDocuments(msgspec.Struct, frozen=True):
    """The place of each document, null if the fleet does not hold it, as of `position` or later."""

    position: int
    documents: dict[str, Found | None]


class DocumentAnswer(msgspec.Struct, frozen=True):
    """A document as last written; `vector` is null if texts are embedded."""

    source_id: str
    position: int
    item: int
    content_hash: str
    title: str
    text: str
    metadata: dict[str, Value]
    vector: list[float] | None


class MomentAnswer(msgspec.Struct, frozen=True):
    """One entry of the documents log: when it was written, and how many documents it holds."""

    position: int
    written_at: str
    documents: int


class UndoneDocument(msgspec.Struct, frozen=True):
    """A document that an undo changes: the positions of its last write before and after; null if there is none."""

    source_id: str
    collection: int
    before: int | None
    after: int | None


class UndoneDocuments(msgspec.Struct, frozen=True):
    """The number of such documents, and the first of them."""

    count: int
    documents: list[UndoneDocument]


class UndoAnswer(msgspec.Struct, frozen=True):
    """
    An undo, or what it would do: then `position` is null.

    `writes` count no more, or again, because the undo of them was undone: then `voids` has its position. Documents are
    `restored` that did not exist, `replaced` by another version, and `removed`. `around` has the entries around bounds
    that were given as times.
    """

    position: int | None
    request_id: str
    first: Place
    last: Place
    around: list[MomentAnswer]
    writes: int
    deletes: int
    source_ids: int
    voids: list[int]
    restored: UndoneDocuments
    replaced: UndoneDocuments
    removed: UndoneDocuments


class CollectionAnswer(msgspec.Struct, frozen=True):
    """
    A collection. `model` and `dims` are those of its vectors in this slot. `index` is null before the slot has a build,
    and `documents` while a shard does not report the collection.
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
    """The collections at `position` of the documents log or later, the default one first."""

    position: int
    collections: list[CollectionAnswer]


class DroppedAnswer(msgspec.Struct, frozen=True):
    """A collection that the entry at `position` dropped."""

    name: str
    id: int
    position: int


class SearchAnswer(msgspec.Struct, frozen=True):
    """The nearest documents, best first; `partial` if a shard gave no answer, or only one of a replica not ready."""

    hits: list[Hit]
    shards_total: int
    shards_answered: int
    partial: bool
    position: int


class SearchFailure(msgspec.Struct, frozen=True):
    """The problem of one search of a batch."""

    status: int
    title: str
    detail: str


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one search of a batch: an answer or a problem."""

    answer: SearchAnswer | None = None
    problem: SearchFailure | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """A result for each search of a batch, in order."""

    results: list[BatchResult]


class SlotBuild(msgspec.Struct, frozen=True):
    """A slot and its build, null before there is one."""

    slot: str
    build: Build | None


class SlotsAnswer(msgspec.Struct, frozen=True):
    """Both slots of the fleet."""

    slots: list[SlotBuild]


class Snapshot(msgspec.Struct, frozen=True):
    """
    A snapshot by its manifest. If the manifest is damaged, `refused` says why and the other fields are empty.

    `level` says how far the snapshot is verified: `listed` if its manifest is damaged, `manifest` if that is whole,
    `files` if every byte was read and hashed, `served` if a node answered from it. `verified_ms` and `verified_by` say
    when and by which instance. A snapshot may be `refused` after it was verified.
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
    """The number of a shard's snapshots, and the newest of them."""

    shard: int
    total: int
    newest: list[Snapshot]


class SnapshotsAnswer(msgspec.Struct, frozen=True):
    """The snapshots of a build, shard by shard."""

    build: str
    shards: list[ShardSnapshots]


# Within the limit; beyond it and gaining; beyond it and not; no replica is ready, but one restores; not known.
LagState = Literal["current", "indexing", "standing", "restoring", "unknown"]


class ShardLag(msgspec.Struct, frozen=True):
    """
    A shard's lag behind the documents log: `positions` that it does not cover, the oldest written `seconds` ago.

    `reason` says why the shard is not current. `eta_seconds` is null while the shard does not gain on the head. All
    figures are null while no replica reports a position.
    """

    state: LagState
    reason: str = ""
    position: int | None = None
    positions: int | None = None
    seconds: float | None = None
    positions_per_second: float = 0.0
    eta_seconds: float | None = None


class ShardStatus(msgspec.Struct, frozen=True):
    """A shard: its lag, and its replicas in the order of their names."""

    shard: int
    lag: ShardLag
    replicas: list[ReplicaStatus]


class StatusAnswer(msgspec.Struct, frozen=True):
    """
    A slot as this router sees it.

    `build` and `recipe` are null before there is a build. `head` is the newest known position of the documents log;
    `head_fault` says why a newer one may exist, empty if the head was just read. A shard that lags more than
    `lag_limit_seconds` is not current. `misconfigured` names the settings that the build refuses. `indexing` says
    whether indexers run always or at set times. The slot ends at documents position `until`, if given. `digests`
    has the digest of all live documents by position: the newest one that every shard reports, and common ones before.
    """

    fleet: str
    slot: str
    build: str | None
    recipe: Recipe | None
    misconfigured: str
    head: int
    head_fault: str
    lag_limit_seconds: float
    until: int | None
    digests: dict[int, str]
    indexing: str
    indexers: list[IndexerStatus]
    shards: list[ShardStatus]


class VerifyingSnapshots(msgspec.Struct, frozen=True):
    """Snapshots under verification, as they were before. Each is done when its `verified_ms` is later."""

    build: str
    shards: list[ShardSnapshots]


class AskedShard(msgspec.Struct, frozen=True):
    """A shard whose next snapshot has at least this position."""

    shard: int
    position: int


class AskedSnapshots(msgspec.Struct, frozen=True):
    """Snapshots that are under way, or exist already."""

    build: str
    shards: list[AskedShard]


class ProblemDetails(msgspec.Struct, frozen=True):
    """A problem by RFC 9457; further members name the limit, and the time to try again."""

    title: str
    status: int
    detail: str
    request_id: str = ""
    retry_after_seconds: int = 0
