"""The builder: folds a shard from S3, builds and verifies its next generation, and publishes the snapshot.

It is a process of its own, because hnswlib can't add rows while it is searched, holds the GIL while it saves, and
reports no write errors.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from service.background import give_way
from service.index import rows as rows_file
from service.index import structures
from service.index.base import Base
from service.index.canaries import RECALL_FLOORS, look_far_enough
from service.index.rows import digest_text
from service.index.shard import recipes_of
from service.node.live_records import LiveRecords, digest_of, fold
from service.node.recovery import BUILDING, ShardStore, load_snapshot
from service.storage import snapshot
from service.storage.builds import Recipe
from service.storage.entry import Damaged
from service.storage.log import Tail
from service.storage.shards import Record
from service.storage.snapshot import ROWS_FILE, Manifest, Share, file_name

# The other half goes on answering. With one CPU, the priority alone decides.
BUILD_THREADS = max(1, len(os.sched_getaffinity(0)) // 2)

log = logging.getLogger(__name__)


class VerificationFailed(Exception):
    """A built generation does not load, or does not answer as exact search does; it is not published."""


def build(shard: ShardStore, *, entry: int, generation: int) -> str:
    """Give way to the serving processes, then `publish_generation`."""
    give_way()
    return publish_generation(shard, entry=entry, generation=generation)


def publish_generation(shard: ShardStore, *, entry: int, generation: int, threads: int = BUILD_THREADS) -> str:
    """Build the shard as it is after log entry `entry`; return the published snapshot's name.

    Raise VerificationFailed, and publish nothing, if the saved files do not load and answer correctly.
    """
    live, tail = fold(shard, entry)
    folder = shard.folder / BUILDING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        manifest = _write(shard, live, tail, generation, folder, threads)
        _verify(manifest, shard.recipe, folder)
        name = snapshot.publish(shard.store, manifest, folder)
    except BaseException:
        # Left on a full disk, it would block writes until the next build.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(shard.folder / name, ignore_errors=True)
    # The serving process on this disk then need not download the files.
    folder.rename(shard.folder / name)
    log.info("published", extra={"snapshot": name, "rows": manifest.rows, "position": manifest.position})
    return name


def digest(shard: ShardStore, entry: int) -> str:
    """Return the digest of the shard after log entry `entry`, computed from S3; raise Damaged if it can't be folded."""
    give_way()
    return fold(shard, entry)[0].digest


def _write(shard: ShardStore, live: LiveRecords, tail: Tail, generation: int, folder: Path, threads: int) -> Manifest:
    shares: dict[int, Share] = {}
    files: list[str] = []
    as_built = recipes_of(live.registry, shard.build.recipe)
    for collection, recipe in recipes_of(live.registry, shard.recipe).items():
        written = _write_collection(collection, recipe, live.of(collection), folder, threads)
        share, files = written.share, [*files, *written.files]
        same = share.searched == as_built[collection].index
        shares[collection] = msgspec.structs.replace(share, searched=None) if same else share
    return Manifest(
        build=shard.build,
        shard=shard.shard,
        generation=generation,
        position=tail.end - 1,
        entry=tail.number,
        append_id=tail.append_id,
        rows=sum(share.rows for share in shares.values()),
        documents=len(live),
        digest=digest_text(sum(int(share.digest, 16) for share in shares.values())),
        created_ms=shard.store.clock.now_ms(),
        files=[snapshot.file_of(folder / name) for name in files],
        registry=live.registry,
        shares=shares,
    )


class CollectionFiles(NamedTuple):
    """One collection, and the files that hold it."""

    share: Share
    files: list[str]


def _write_collection(
    collection: int, recipe: Recipe, records: Sequence[Record], folder: Path, threads: int
) -> CollectionFiles:
    rows = rows_file.from_records(records, recipe.embedding.dims)
    names = [file_name(collection, ROWS_FILE)]
    rows_file.save(rows, folder / names[0])
    made = structures.build(np.ascontiguousarray(rows.vectors), recipe.index, threads)
    share = Share(len(rows.vectors), len(records), digest_of(records))
    if (index_file := structures.file_of(made, recipe.index)) is None:
        return CollectionFiles(share, names)
    # A shard gets its base even if the structure finds too little: without a base, only a replay of the whole log
    # restores it.
    base = Base(rows, made, recipe.index)
    if look_far_enough(base, recipe.embedding.dims) < RECALL_FLOORS[recipe.index.type]:
        log.error("an index finds too little; its collection is searched exactly", extra={"collection": collection})
        exactly = msgspec.structs.replace(recipe.index, type="flat")
        return CollectionFiles(msgspec.structs.replace(share, searched=exactly), names)
    if base.parameters != recipe.index:
        further = msgspec.structs.asdict(base.parameters)
        log.warning("a base finds too little as configured", extra={"collection": collection, "searched": further})
    names.append(file_name(collection, index_file))
    made.save(folder / names[-1])
    return CollectionFiles(msgspec.structs.replace(share, searched=base.parameters), names)


def _verify(manifest: Manifest, recipe: Recipe, folder: Path) -> None:
    """Load the saved files as a node will, run the canaries, and prove the digest, on which nodes then rely."""
    try:
        load_snapshot(manifest, recipe, folder, prove=True)
    except Damaged as damage:
        raise VerificationFailed(f"the new generation is not published: {damage}") from damage
