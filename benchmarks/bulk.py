"""A bulk write of all vectors, compared with hnswlib's build of one graph; then a restore of the shard."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bare import built
from benchmarks.measuring import K, exact, recall_of, say
from benchmarks.stage import PORT, Member, Stage, await_ready, row_of, source_id, staged
from service.client import Client
from service.index.part import Vectors
from service.node.recovery import load_snapshot
from service.storage import snapshot
from service.storage.builds import IndexParameters, Slots
from service.storage.objects import ObjectStore
from vectorfleet.waiting import until

BATCH = 1_000
WRITERS = 2
TURNS = 3
POLL_SECONDS = 0.05
SETTLED_SECONDS = 1_800.0


class NotSettled(Exception):
    """A node that had no graph over all rows in time."""


def measure(vectors: Vectors, queries: Vectors, index: IndexParameters) -> dict[str, Any]:
    """
    Measure the time until all vectors are acknowledged, are found, and are in one graph; then a restore.

    Times are in seconds and in multiples of hnswlib's own build on the same processors.
    """
    threads = len(os.sched_getaffinity(0))
    say(f"hnswlib builds alone, {threads} threads")
    started = time.monotonic()
    built(vectors, index, threads)
    bare = time.monotonic() - started
    with staged(vectors, index, shards=1) as stage:
        node, router = _fleet(stage)
        client = Client(f"http://{router.address}:{PORT}", timeout_seconds=60)
        say("writing")
        started = time.monotonic()
        position = _write(client, vectors)
        acknowledged = time.monotonic() - started
        found = _until(node, lambda report: report["position"] >= position) - started
        say("waiting for a graph over all rows")
        settled = _until(node, lambda report: report["rows"] == len(vectors) and not report["delta_rows"]) - started
        truth = exact(vectors, queries, K)
        recall = recall_of([_search(client, query) for query in queries], truth)
        say("restoring")
        restore = _restore(stage.root / "restored")
    steps = {"acknowledged": acknowledged, "found": found, "one graph": settled}
    return {
        "rows": len(vectors),
        "dims": int(vectors.shape[1]),
        "threads": threads,
        "hnswlib_seconds": round(bare, 2),
        "steps": {name: {"seconds": round(s, 2), "of_bare": round(s / bare, 2)} for name, s in steps.items()},
        "recall": round(recall, 4),
        "restore": restore,
    }


def _fleet(stage: Stage) -> tuple[Member, Member]:
    """Start an indexer, a node and a router on all processors; the indexer makes the build."""
    processors = os.sched_getaffinity(0)
    stage.add("indexer", processors)
    return stage.add("node", processors), stage.add("router", processors)


def _write(client: Client, vectors: Vectors) -> int:
    """Write every vector as a document; return the last position."""

    def batch(first: int) -> int:
        rows = range(first, min(first + BATCH, len(vectors)))
        written = client.write([{"source_id": source_id(row), "vector": vectors[row]} for row in rows])
        return int(written["position"])

    with ThreadPoolExecutor(WRITERS) as pool:
        return max(pool.map(batch, range(0, len(vectors), BATCH)))


def _search(client: Client, query: Vectors) -> list[int]:
    hits = client.search(vector=query.tolist(), k=K)["hits"]
    return [row_of(hit["source_id"]) for hit in hits]


def _until(node: Member, holds: Callable[[dict[str, Any]], bool]) -> float:
    """Return the time at which a node's report first holds."""

    def look() -> float:
        await_ready(node)
        return time.monotonic() if holds(node.report()) else 0.0

    if not (at := until(look, SETTLED_SECONDS, POLL_SECONDS)):
        raise NotSettled(f"not within {SETTLED_SECONDS:g} s; see {node.log}")
    return at


def _restore(folder: Path) -> dict[str, Any]:
    """Measure reading and hashing a snapshot's files, and loading them: medians of some turns."""
    store = ObjectStore("index")
    build = Slots(store).find("blue")
    assert build is not None
    manifest = snapshot.manifest_of(store, build, 0, snapshot.names(store, build.id, 0)[0])
    snapshot.download(store, manifest, folder)
    hashed, loaded = [], []
    for _ in range(TURNS):
        started = time.monotonic()
        for file in manifest.files:
            snapshot.file_of(folder / file.name)
        between = time.monotonic()
        load_snapshot(manifest, manifest.build.recipe, folder)
        hashed.append(between - started)
        loaded.append(time.monotonic() - between)
    read, load = median(hashed), median(loaded)
    return {
        "bytes": sum(file.size_bytes for file in manifest.files),
        "read_and_hash_seconds": round(read, 3),
        "load_seconds": round(load, 3),
        "of_reading": round(read / (read + load), 2),
    }
