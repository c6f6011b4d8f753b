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
from service.index.base import build_graph
from service.node.restore import BUILDING, ShardStore, load_snapshot, restore, tail_at
from service.storage import snapshot
from service.storage.entry import Damaged
from service.storage.log import Tail, tail_of
from service.storage.shards import Record, from_entry
from service.storage.snapshot import GRAPH_FILE, ROWS_FILE, Manifest

BUILD_NICENESS = 10
BUILD_THREADS = 1

log = logging.getLogger(__name__)


class NotVerified(Exception):
    """A built generation did not load, or not answer as exact search does; it is not published."""


def build(shard: ShardStore, *, entry: int, generation: int) -> str:
    """Make way for the serving processes, then `publish_generation`."""
    os.nice(BUILD_NICENESS)
    return publish_generation(shard, entry=entry, generation=generation)


def publish_generation(shard: ShardStore, *, entry: int, generation: int) -> str:
    """
    Build the shard as it is after log entry `entry`; returns the published snapshot's name.

    Raises NotVerified, and publishes nothing, when what was saved does not load and answer rightly.
    """
    live, tail = fold(shard, entry)
    folder = shard.folder / BUILDING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    manifest = _write(shard, live, tail, generation, folder)
    _verify(manifest, folder)
    name = snapshot.publish(shard.store, manifest, folder)
    shutil.rmtree(shard.folder / name, ignore_errors=True)
    # The serving process on this disk then finds the files it would have to download.
    folder.rename(shard.folder / name)
    log.info("published", extra={"snapshot": name, "rows": manifest.rows, "position": manifest.position})
    return name


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
    for entry in shard.log.follow(tail):
        if entry.header.number > until:
            break
        for record in from_entry(entry):
            _apply(live, record)
        tail = tail_of(entry)
    if tail.number != until:
        raise Damaged(f"{shard.log.name}: ends at entry {tail.number}, but {until} was asked for")
    return live, tail


def _apply(live: dict[str, Record], record: Record) -> None:
    if record.rejected:
        return
    live.pop(record.source_id, None)
    if record.chunks:
        live[record.source_id] = record


def _write(shard: ShardStore, live: dict[str, Record], tail: Tail, generation: int, folder: Path) -> Manifest:
    rows = rows_file.from_records(live.values(), shard.dims)
    rows_file.save(rows, folder / ROWS_FILE)
    graph = build_graph(np.ascontiguousarray(rows.vectors), shard.build.recipe.index, BUILD_THREADS)
    graph.save_index(str(folder / GRAPH_FILE))
    return Manifest(
        build=shard.build,
        shard=shard.shard,
        generation=generation,
        position=tail.end - 1,
        entry=tail.number,
        append_id=tail.append_id,
        rows=len(rows.vectors),
        documents=len(live),
        digest=rows_file.digest_text(sum(map(rows_file.record_digest, live.values()))),
        created_ms=shard.store.clock.now_ms(),
        files=[snapshot.file_of(folder / name) for name in (ROWS_FILE, GRAPH_FILE)],
    )


def _verify(manifest: Manifest, folder: Path) -> None:
    """Load what was saved, as a node will, and ask it."""
    try:
        load_snapshot(manifest, folder)
    except Damaged as damage:
        raise NotVerified(f"the new generation is not published: {damage}") from damage
