"""The only recovery there is: the newest snapshot that proves itself, then the log behind it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from service.index import rows as rows_file
from service.index import structures
from service.index.ann import Ann
from service.index.base import Base
from service.index.metric import METRICS, Metric
from service.index.part import Vectors
from service.index.shard import RECALL_FLOORS, ShardIndex, canary_recall
from service.storage import snapshot
from service.storage.builds import Build
from service.storage.entry import Damaged
from service.storage.log import Log, Tail
from service.storage.objects import ObjectStore
from service.storage.shards import Record, from_entry, shard_log
from service.storage.snapshot import Manifest

BUILDING = "building"


class ShardStore(NamedTuple):
    """Where one shard of one build lies, and the folder that caches it on this disk."""

    store: ObjectStore
    build: Build
    shard: int
    folder: Path

    @property
    def dims(self) -> int:
        """Dimensions of the build's vectors."""
        return self.build.recipe.embedding.dims

    @property
    def metric(self) -> Metric:
        """By what the build's vectors are near."""
        return METRICS[self.build.recipe.index.metric]

    def emptied(self) -> ShardIndex:
        """The shard's index before anything is in it."""
        return ShardIndex(None, self.dims, metric=self.metric)

    @property
    def log(self) -> Log:
        """The shard's log."""
        return shard_log(self.store, self.build.id, self.shard, self.dims)

    def snapshots(self) -> list[str]:
        """Names of the shard's snapshots, newest first."""
        return snapshot.names(self.store, self.build.id, self.shard)


@dataclass(frozen=True)
class Opened:
    """A verified snapshot, ready to serve."""

    manifest: Manifest
    index: ShardIndex


@dataclass(frozen=True)
class Restored:
    """Where a restore arrived: what it started from, and each snapshot it refused with the reason."""

    opened: Opened | None
    index: ShardIndex
    refused: list[str]

    @property
    def source(self) -> str:
        """What the restore started from, in words."""
        if self.opened is None:
            return "the log alone"
        return f"snapshot {snapshot.name_of(self.opened.manifest)}"


def claimed(shard: ShardStore, name: str) -> Manifest:
    """What a snapshot says that it is; raises Damaged where it vouches for nothing, or the log does not know it."""
    manifest = snapshot.manifest_of(shard.store, shard.build, shard.shard, name)
    snapshot.check_against_log(manifest, shard.log)
    return manifest


def open_snapshot(shard: ShardStore, name: str) -> Opened:
    """Fetch a snapshot, check every claim of its manifest, and load it; raises Damaged for the first that fails."""
    manifest, folder = claimed(shard, name), shard.folder / name
    snapshot.download(shard.store, manifest, folder)
    return load_snapshot(manifest, folder)


def load_snapshot(manifest: Manifest, folder: Path) -> Opened:
    """Load checked files, check what they hold against the manifest and that the graph finds what exact search does."""
    recipe = manifest.build.recipe
    rows = rows_file.load(folder / snapshot.ROWS_FILE, recipe.embedding.dims)
    metric = METRICS[recipe.index.metric]
    base = Base(rows, _structure(manifest, rows.vectors, folder), metric)
    index = ShardIndex(base, recipe.embedding.dims, metric=metric)
    found = (index.rows, index.documents, index.digest)
    written = (manifest.rows, manifest.documents, manifest.digest)
    if found != written:
        raise Damaged(f"snapshot {snapshot.name_of(manifest)}: holds rows, documents, digest {found}, not {written}")
    recall = canary_recall(index)
    if recall < RECALL_FLOORS[recipe.index.type]:
        raise Damaged(
            f"snapshot {snapshot.name_of(manifest)}: its canaries find {recall:.2f} of what exact search finds"
        )
    return Opened(manifest, index)


def _structure(manifest: Manifest, vectors: Vectors, folder: Path) -> Ann:
    """What the snapshot has over its rows."""
    parameters = manifest.build.recipe.index
    named = [file.name for file in manifest.files if file.name != snapshot.ROWS_FILE]
    if named not in ([], [structures.FILES.get(parameters.type)]):
        raise Damaged(f"snapshot {snapshot.name_of(manifest)}: {', '.join(named)} is not of type {parameters.type}")
    return structures.load(folder / named[0] if named else None, vectors, parameters)


def restore(shard: ShardStore) -> Restored:
    """Load the newest snapshot that can be trusted; older ones after it, an empty index last."""
    refused: list[str] = []
    for name in shard.snapshots():
        try:
            opened = open_snapshot(shard, name)
        except Damaged as damage:
            refused.append(str(damage))
            continue
        return Restored(opened, opened.index, refused)
    return Restored(None, shard.emptied(), refused)


def remove_unserved(shard: ShardStore, served: str) -> None:
    """Free the disk of every snapshot but the served one; files still mapped live on until they are unmapped."""
    for folder in shard.folder.iterdir():
        if folder.is_dir() and folder.name not in (served, BUILDING):
            shutil.rmtree(folder, ignore_errors=True)


def tail_at(manifest: Manifest) -> Tail:
    """The log's tail at the moment of a snapshot."""
    return Tail(manifest.entry, manifest.append_id, 0, manifest.position + 1)


class Applied(NamedTuple):
    """An entry of the shard log with its records decoded."""

    tail: Tail
    records: list[Record]

    @property
    def position(self) -> int:
        """The documents position that the shard has when these records are applied."""
        return self.tail.end - 1


def read_next(log: Log, tail: Tail) -> Applied | None:
    """The entry after `tail`, decoded; None while there is none."""
    entry = log.next_after(tail)
    if entry is None:
        return None
    header = entry.header
    return Applied(Tail(header.number, header.append_id, header.stamp_ms, header.end), list(from_entry(entry)))
