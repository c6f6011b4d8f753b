"""The only recovery there is: load the newest snapshot that can be trusted, then replay the log behind it."""

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
from service.index.shard import CollectionSize, ShardIndex, recipes_of
from service.storage import snapshot, verdicts
from service.storage.builds import Build, IndexParameters, Recipe, shard_prefix
from service.storage.collections import DEFAULT_ID
from service.storage.entry import Damaged, Entry
from service.storage.log import Log, Tail, tail_of
from service.storage.objects import ObjectStore
from service.storage.shards import Record, from_entry, shard_log
from service.storage.snapshot import Manifest
from service.wire.messages import LOG_ALONE

BUILDING = "building"


class ShardStore(NamedTuple):
    """One shard of one build in S3, the folder that caches it on this disk, and the bucket of its documents.

    `configured` says how this process searches it; without it, searches go as the build was first configured. The build
    ends at documents position `until`, if given.
    """

    store: ObjectStore
    build: Build
    shard: int
    folder: Path
    documents: ObjectStore
    configured: IndexParameters | None = None
    until: int | None = None

    @property
    def recipe(self) -> Recipe:
        """The build's recipe, searched as this process is configured."""
        recipe = self.build.recipe
        return recipe if self.configured is None else recipe.searched_as(self.configured)

    def empty_index(self) -> ShardIndex:
        """Return the shard's index before anything is in it."""
        return ShardIndex(self.recipe)

    @property
    def reader(self) -> str:
        """The name of this reader of snapshots in their verdicts."""
        return f"a node of shard {self.shard}"

    @property
    def log(self) -> Log:
        return shard_log(self.store, self.build.id, self.shard, self.build.recipe.embedding.dims)

    @property
    def prefix(self) -> str:
        return shard_prefix(self.build.id, self.shard)

    def snapshots(self) -> list[str]:
        """Return the names of the shard's snapshots, newest first."""
        return snapshot.names(self.store, self.build.id, self.shard)


@dataclass(frozen=True)
class LoadedSnapshot:
    """A verified snapshot, ready to serve; `fetched` is true if every byte of it came from the store."""

    manifest: Manifest
    index: ShardIndex
    fetched: bool = False


@dataclass(frozen=True)
class Recovery:
    """The result of a restore: the snapshot it started from, if any, and each refused snapshot with its reason."""

    opened: LoadedSnapshot | None
    index: ShardIndex
    refused: list[str]

    @property
    def source(self) -> str:
        """The starting point of the restore, in words."""
        if self.opened is None:
            return LOG_ALONE
        return f"snapshot {snapshot.name_of(self.opened.manifest)}"


def trusted_manifest(shard: ShardStore, name: str) -> Manifest:
    """Return the manifest of a snapshot; raise Damaged if it is invalid or does not match the shard log."""
    manifest = snapshot.manifest_of(shard.store, shard.build, shard.shard, name)
    snapshot.check_against_log(manifest, shard.log)
    return manifest


def open_snapshot(shard: ShardStore, name: str) -> LoadedSnapshot:
    """Download a snapshot, check every claim of its manifest, and load it; raise Damaged for the first that fails."""
    manifest, folder = trusted_manifest(shard, name), shard.folder / name
    fetched = snapshot.download(shard.store, manifest, folder)
    return replace(load_snapshot(manifest, shard.recipe, folder), fetched=fetched)


def load_snapshot(manifest: Manifest, recipe: Recipe, folder: Path, *, prove: bool = False) -> LoadedSnapshot:
    """Load checked files, compare their contents with the manifest, and check each index's recall.

    Each base is searched as `recipe` says, and further if its canaries find too little.

    Builders `prove` the manifest's digest from the rows before they publish. Afterwards the files' own hashes vouch for
    it. A digest of an older format counts chunks: it is not compared, and the index computes its own.
    """
    recipes = recipes_in(manifest, recipe)
    _check_files(manifest, recipes)
    bases = {collection: _base(manifest, collection, recipe, folder) for collection, recipe in recipes.items()}
    terms: dict[int, int] = {}
    if manifest.counts_documents and not prove:
        terms = {collection: int(share.digest, 16) for collection, share in manifest.shares.items()}
    index = ShardIndex(recipe, manifest.registry, bases, terms)
    found = (index.rows, index.documents, index.digest if manifest.counts_documents else manifest.digest)
    written = (manifest.rows, manifest.documents, manifest.digest)
    label = f"snapshot {snapshot.name_of(manifest)}"
    if found != written:
        raise Damaged(f"{label}: has rows, documents, digest {found}, not {written}")
    for one in index.collections:
        recall = look_far_enough(bases[one.collection], one.dims)
        if recall < RECALL_FLOORS[recipes[one.collection].index.type]:
            of = f" of collection {one.collection}" if one.collection else ""
            raise Damaged(f"{label}: the recall of its canaries{of} is {recall:.2f}")
    return LoadedSnapshot(manifest, index)


def recipes_in(manifest: Manifest, slot: Recipe) -> dict[int, Recipe]:
    """Return the recipe of each collection's base, by its id.

    A manifest also says how far searches had to look with the builder's configuration. Only `flat` is used from that:
    it means a base without a structure.
    """
    recipes = recipes_of(manifest.registry, slot)
    for collection, share in manifest.shares.items():
        if share.exact or (share.searched is not None and share.searched.type == "flat"):
            flat = msgspec.structs.replace(recipes[collection].index, type="flat")
            recipes[collection] = msgspec.structs.replace(recipes[collection], index=flat)
    return recipes


def sizes_in(manifest: Manifest) -> list[CollectionSize]:
    """Return the rows of each collection with the recipe of its base."""
    recipes = recipes_in(manifest, manifest.build.recipe)
    rows = {collection: share.rows for collection, share in manifest.shares.items()} or {DEFAULT_ID: manifest.rows}
    return [CollectionSize(recipes[collection], count) for collection, count in rows.items()]


def _base(manifest: Manifest, collection: int, recipe: Recipe, folder: Path) -> Base:
    """Load the rows of one collection and the structure over them."""
    rows_path = folder / snapshot.file_name(collection, snapshot.ROWS_FILE)
    index_name = snapshot.file_name(collection, structures.FILES.get(recipe.index.type, ""))
    files = {file.name for file in manifest.files}
    if rows_path.name not in files:
        raise Damaged(f"snapshot {snapshot.name_of(manifest)}: it has no {rows_path.name}")
    rows = rows_file.load(rows_path, recipe.embedding.dims)
    made = structures.load(folder / index_name if index_name in files else None, rows.vectors, recipe.index)
    return Base(rows, made, recipe.index)


def _check_files(manifest: Manifest, recipes: Mapping[int, Recipe]) -> None:
    """Raise Damaged for a file that belongs to no collection, or not to its index type."""
    known = {
        snapshot.file_name(collection, name)
        for collection, recipe in recipes.items()
        for name in (snapshot.ROWS_FILE, structures.FILES.get(recipe.index.type))
        if name is not None
    }
    if unknown := [file.name for file in manifest.files if file.name not in known]:
        raise Damaged(f"snapshot {snapshot.name_of(manifest)}: {', '.join(unknown)} does not belong to its collections")


def restore(shard: ShardStore, name: str | None = None) -> Recovery:
    """Load the newest snapshot that can be trusted, older ones after it, and an empty index last.

    With a `name`, load that snapshot and no other; raise Damaged if it can't be trusted.
    """
    if name is not None:
        loaded = open_snapshot(shard, name)
        return Recovery(loaded, loaded.index, [])
    refused: list[str] = []
    for name in shard.snapshots():
        try:
            loaded = open_snapshot(shard, name)
        except Damaged as damage:
            refused.append(str(damage))
            verdicts.refuse(shard.store, shard.build, shard.shard, name, str(damage), shard.reader)
            continue
        return Recovery(loaded, loaded.index, refused)
    return Recovery(None, shard.empty_index(), refused)


def remove_unserved(shard: ShardStore, served: str) -> None:
    """Delete every snapshot on disk but the served one; mapped files live on until they are unmapped."""
    for folder in shard.folder.iterdir():
        if folder.is_dir() and folder.name not in (served, BUILDING):
            shutil.rmtree(folder, ignore_errors=True)


def tail_at(manifest: Manifest) -> Tail:
    """Return the log's tail at the moment of a snapshot."""
    return Tail(manifest.entry, manifest.append_id, 0, manifest.position + 1)


class DecodedEntry(NamedTuple):
    """An entry of the shard log with its records decoded."""

    tail: Tail
    records: list[Record]


def decoded(entry: Entry) -> DecodedEntry:
    """Return an entry of a shard log with its records decoded."""
    return DecodedEntry(tail_of(entry), list(from_entry(entry)))


def read_next(log: Log, tail: Tail) -> DecodedEntry | None:
    """Return the entry after `tail`, decoded; None if there is none yet."""
    entry = log.next_after(tail)
    return None if entry is None else decoded(entry)
