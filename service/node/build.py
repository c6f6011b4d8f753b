"""The builder: folds a shard anew from S3, builds and verifies its next generation, and publishes the snapshot.

A process of its own, because hnswlib can't be added to while it is searched, holds the GIL while it saves, and
says nothing when a write fails.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np

from service.index import rows as rows_file
from service.index import structures
from service.node.background import give_way
from service.node.restore import BUILDING, ShardStore, load_snapshot, restore, tail_at
from service.storage import snapshot
from service.storage.entry import Damaged
from service.storage.log import Tail, tail_of
from service.storage.shards import Record, from_entry
from service.storage.snapshot import ROWS_FILE, Manifest

# The other half goes on answering; on one processor the priority alone decides.
BUILD_THREADS = max(1, len(os.sched_getaffinity(0)) // 2)

log = logging.getLogger(__name__)


class NotVerified(Exception):
    """A built generation did not load, or not answer as exact search does; it is not published."""


def build(shard: ShardStore, *, entry: int, generation: int) -> str:
    """Make way for the serving processes, then `publish_generation`."""
    give_way()
    return publish_generation(shard, entry=entry, generation=generation)


def publish_generation(shard: ShardStore, *, entry: int, generation: int, threads: int = BUILD_THREADS) -> str:
    """
    Build the shard as it is after log entry `entry`; returns the published snapshot's name.

    Raises NotVerified, and publishes nothing, when what was saved does not load and answer rightly.
    """
    live, tail = fold(shard, entry)
    folder = shard.folder / BUILDING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        manifest = _write(shard, live, tail, generation, folder, threads)
        _verify(manifest, folder)
        name = snapshot.publish(shard.store, manifest, folder)
    except BaseException:
        # Left behind on a full disk it would have writes refused until the next build.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(shard.folder / name, ignore_errors=True)
    # The serving process on this disk then finds the files it would have to download.
    folder.rename(shard.folder / name)
    log.info("published", extra={"snapshot": name, "rows": manifest.rows, "position": manifest.position})
    return name


def digest(shard: ShardStore, entry: int) -> str:
    """The digest of the shard after log entry `entry`, by what lies in S3; raises Damaged where it can't be folded."""
    give_way()
    return _digest(fold(shard, entry)[0])


def _digest(live: dict[str, Record]) -> str:
    terms = (rows_file.document_digest(one.source_id, one.content_hash, len(one.chunks)) for one in live.values())
    return rows_file.digest_text(sum(terms))


def fold(shard: ShardStore, until: int) -> tuple[dict[str, Record], Tail]:
    """The live records after entry `until`, and the tail there: newest snapshot not behind it, then the log."""
    live: dict[str, Record] = {}
    tail = Tail()
    restored = restore(shard)
    if restored.opened is not None and restored.opened.manifest.entry <= until:
        base = restored.opened.index.base
        assert base is not None
        live = {record.source_id: record for record in base.rows.records()}
        tail = tail_at(restored.opened.manifest)
    entries = shard.log.follow(tail)
    # What lies behind `until` is not looked at: it may be what somebody stands still before.
    while tail.number < until and (entry := next(entries, None)) is not None:
        for record in from_entry(entry):
            _apply(live, record)
        tail = tail_of(entry)
    if tail.number != until:
        raise Damaged(f"{shard.log.name}: ends at entry {tail.number}, but {until} was asked for")
    return live, tail


def _apply(live: dict[str, Record], record: Record) -> None:
    held = live.get(record.source_id)
    if not record.counts(0 if held is None else held.position):
        return
    live.pop(record.source_id, None)
    if record.chunks:
        live[record.source_id] = record


def _write(
    shard: ShardStore, live: dict[str, Record], tail: Tail, generation: int, folder: Path, threads: int
) -> Manifest:
    rows = rows_file.from_records(live.values(), shard.dims)
    rows_file.save(rows, folder / ROWS_FILE)
    parameters = shard.build.recipe.index
    made = structures.build(np.ascontiguousarray(rows.vectors), parameters, threads)
    names = [ROWS_FILE]
    if index_file := structures.file_of(made, parameters):
        made.save(folder / index_file)
        names.append(index_file)
    return Manifest(
        build=shard.build,
        shard=shard.shard,
        generation=generation,
        position=tail.end - 1,
        entry=tail.number,
        append_id=tail.append_id,
        rows=len(rows.vectors),
        documents=len(live),
        digest=_digest(live),
        created_ms=shard.store.clock.now_ms(),
        files=[snapshot.file_of(folder / name) for name in names],
    )


def _verify(manifest: Manifest, folder: Path) -> None:
    """Load what was saved, as a node will, and ask it."""
    try:
        load_snapshot(manifest, folder)
    except Damaged as damage:
        raise NotVerified(f"the new generation is not published: {damage}") from damage
