"""The only recovery there is: the newest snapshot that proves itself, then the log behind it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from service.index import rows as rows_file
from service.index import structures
from service.index.base import Base
from service.index.canaries import RECALL_FLOORS, look_far_enough
from service.index.shard import ShardIndex, Sized, recipes_of
from service.node.messages import LOG_ALONE
from service.storage import snapshot, verdicts
from service.storage.builds import Build, IndexParameters, Recipe
from service.storage.collections import DEFAULT_ID
from service.storage.entry import Damaged
from service.storage.log import Log, Tail
from service.storage.objects import ObjectStore
from service.storage.shards import Record, from_entry, shard_log
from service.storage.snapshot import Manifest

BUILDING = "building"


class ShardStore(NamedTuple):
    """
    The place of one shard of one build, the folder that caches it on this disk, and the bucket of its documents.

    `configured` says how this process searches it; without that, searches go as the build was first configured.
    """

    store: ObjectStore
    build: Build
    shard: int
    folder: Path
    documents: ObjectStore
    configured: IndexParameters | None = None

    @property
    def recipe(self) -> Recipe:
        """The build's recipe, searched as this process is configured."""
        recipe = self.build.recipe
        return recipe if self.configured is None else recipe.searched_as(self.configured)

    def emptied(self) -> ShardIndex:
        """The shard's index before anything is in it."""
        return ShardIndex(self.recipe)

    @property
    def reader(self) -> str:
        """The reader of snapshots, as their verdicts name it."""
        return f"a node of shard {self.shard}"

    @property
    def log(self) -> Log:
        """The shard's log."""
        return shard_log(self.store, self.build.id, self.shard, self.build.recipe.embedding.dims)

    def snapshots(self) -> list[str]:
        """Names of the shard's snapshots, newest first."""
        return snapshot.names(self.store, self.build.id, self.shard)


@dataclass(frozen=True)
class Opened:
    """A verified snapshot, ready to serve; `fetched` is whether every byte of it came from the store."""

    manifest: Manifest
    index: ShardIndex
    fetched: bool = False


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
            return LOG_ALONE
        return f"snapshot {snapshot.name_of(self.opened.manifest)}"


def claimed(shard: ShardStore, name: str) -> Manifest:
    """What a snapshot says that it is; raises Damaged where it vouches for nothing, or the log does not know it."""
    manifest = snapshot.manifest_of(shard.store, shard.build, shard.shard, name)
    snapshot.check_against_log(manifest, shard.log)
    return manifest


def open_snapshot(shard: ShardStore, name: str) -> Opened:
    """Fetch a snapshot, check every claim of its manifest, and load it; raises Damaged for the first that fails."""
    manifest, folder = claimed(shard, name), shard.folder / name
    fetched = snapshot.download(shard.store, manifest, folder)
    return replace(load_snapshot(manifest, shard.recipe, folder), fetched=fetched)


def load_snapshot(manifest: Manifest, recipe: Recipe, folder: Path, *, prove: bool = False) -> Opened:
    """
    Load checked files, check what they hold by the manifest and that each graph finds what exact search does.

    Each base is searched as `recipe` says, and further where its canaries find too little.

    That the rows have the manifest's digest is worked out where it is to be `prove`d, as builders do before they
    publish; after that the files' own hashes vouch for it.
    """
    recipes = recipes_in(manifest, recipe)
    _check_files(manifest, recipes)
    bases = {collection: _base(manifest, collection, recipe, folder) for collection, recipe in recipes.items()}
    terms = {} if prove else {collection: int(share.digest, 16) for collection, share in manifest.shares.items()}
    index = ShardIndex(recipe, manifest.registry, bases, terms)
    found = (index.rows, index.documents, index.digest)
    written = (manifest.rows, manifest.documents, manifest.digest)
    label = f"snapshot {snapshot.name_of(manifest)}"
    if found != written:
        raise Damaged(f"{label}: holds rows, documents, digest {found}, not {written}")
    for one in index.collections:
        recall = look_far_enough(bases[one.collection], one.dims)
        if recall < RECALL_FLOORS[recipes[one.collection].index.type]:
            of = f" of collection {one.collection}" if one.collection else ""
            raise Damaged(f"{label}: its canaries{of} find {recall:.2f} of what exact search finds")
    return Opened(manifest, index)


def recipes_in(manifest: Manifest, slot: Recipe) -> dict[int, Recipe]:
    """
    The recipe of each collection's base, by its id.

    A manifest also says how far searches had to look with the builder's configuration. Only `flat` is taken from that:
    a base that has no structure.
    """
    recipes = recipes_of(manifest.registry, slot)
    for collection, share in manifest.shares.items():
        if share.exact or (share.searched is not None and share.searched.type == "flat"):
            flat = msgspec.structs.replace(recipes[collection].index, type="flat")
            recipes[collection] = msgspec.structs.replace(recipes[collection], index=flat)
    return recipes


def sized_in(manifest: Manifest) -> list[Sized]:
    """The rows of each collection, and what stands over them."""
    recipes = recipes_in(manifest, manifest.build.recipe)
    rows = {collection: share.rows for collection, share in manifest.shares.items()} or {DEFAULT_ID: manifest.rows}
    return [Sized(recipes[collection], count) for collection, count in rows.items()]


def _base(manifest: Manifest, collection: int, recipe: Recipe, folder: Path) -> Base:
    """The rows of one collection, and what the snapshot has over them."""
    rows_path = folder / snapshot.file_name(collection, snapshot.ROWS_FILE)
    index_name = snapshot.file_name(collection, structures.FILES.get(recipe.index.type, ""))
    files = {file.name for file in manifest.files}
    if rows_path.name not in files:
        raise Damaged(f"snapshot {snapshot.name_of(manifest)}: it has no {rows_path.name}")
    rows = rows_file.load(rows_path, recipe.embedding.dims)
    made = structures.load(folder / index_name if index_name in files else None, rows.vectors, recipe.index)
    return Base(rows, made, recipe.index)


def _check_files(manifest: Manifest, recipes: Mapping[int, Recipe]) -> None:
    """Raises Damaged for a file that belongs to no collection, or not to its type of index."""
    known = {
        snapshot.file_name(collection, name)
        for collection, recipe in recipes.items()
        for name in (snapshot.ROWS_FILE, structures.FILES.get(recipe.index.type))
        if name is not None
    }
    if unknown := [file.name for file in manifest.files if file.name not in known]:
        raise Damaged(f"snapshot {snapshot.name_of(manifest)}: {', '.join(unknown)} is not of its collections' types")


def restore(shard: ShardStore) -> Restored:
    """Load the newest snapshot that can be trusted; older ones after it, an empty index last."""
    refused: list[str] = []
    for name in shard.snapshots():
        try:
            opened = open_snapshot(shard, name)
        except Damaged as damage:
            refused.append(str(damage))
            verdicts.refuse(shard.store, shard.build, shard.shard, name, str(damage), shard.reader)
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
