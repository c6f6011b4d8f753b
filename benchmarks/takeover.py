"""Latencies under open load while a new process takes a node over, and before and after."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from benchmarks.measuring import say
from benchmarks.stage import PORT, Member, Stage, document, standing
from service.index.part import Vectors
from service.node.builder import publish_generation
from service.node.recovery import ShardStore
from service.storage.builds import IndexParameters
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log

# The old process may answer on its connections for so long after the new one serves.
PARTING_SECONDS = 2.0
TAKEOVER_SECONDS = 600.0  # to build the next generation, and again to take over
POLL_SECONDS = 0.05
TIMEOUT_SECONDS = 10.0


class NoTakeover(Exception):
    """No process took the node over in time."""


class HeldManifestStore(ObjectStore):
    """A store that holds a snapshot's manifest back until it is let go: a snapshot begins with its manifest."""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket)
        self.ready, self.let_go = threading.Event(), threading.Event()

    def upload(self, path: Path, key: str) -> None:
        """Upload a file; a manifest only once it is let go."""
        if key.endswith("/manifest.json"):
            self.ready.set()
            self.let_go.wait()
        super().upload(path, key)


@dataclass(frozen=True)
class DueSearch:
    """A search: the time that it was due, and the seconds to its answer; None if it failed or was partial."""

    due: float
    seconds: float | None


@dataclass(frozen=True)
class Latencies:
    """Searches and their latencies in milliseconds."""

    searches: int
    failed: int
    p50_ms: float
    p99_ms: float
    slowest_ms: float


def measure(
    vectors: Vectors, queries: Vectors, index: IndexParameters, rate: float, quiet_seconds: float
) -> dict[str, Any]:
    """Measure one take-over under `rate` searches a second, with quiet time before and after it."""
    with standing(vectors, index, set(os.sched_getaffinity(0))) as stage:
        store = HeldManifestStore("index")
        building = threading.Thread(target=_next_generation, args=(stage, store), daemon=True)
        say("building the next generation")
        building.start()
        if not store.ready.wait(TAKEOVER_SECONDS):
            raise NoTakeover(f"no snapshot was built within {TAKEOVER_SECONDS:g} s")
        say(f"{rate:g} searches a second, {quiet_seconds:g} s before the take-over and after it")
        asked, began, ended = asyncio.run(_load(stage, queries, rate, quiet_seconds, store))
        building.join()
    outside = [one for one in asked if not began <= one.due < ended]
    return {
        "rows": len(vectors),
        "dims": int(vectors.shape[1]),
        "rate": rate,
        "seconds": round(ended - began, 2),
        "outside": _latencies(outside).__dict__,
        "during": _latencies([one for one in asked if began <= one.due < ended]).__dict__,
    }


def _next_generation(stage: Stage, store: HeldManifestStore) -> None:
    """Write one more document, and publish a snapshot that holds it."""
    assert stage.build is not None
    stage.write([document(len(stage.vectors), stage.vectors[0])])
    entry = shard_log(store, stage.build.id, 0, int(stage.vectors.shape[1])).head()
    # On the node's own disk, where its builder leaves the files for the new process.
    folder = stage.members[0].disk / stage.build.id / "shard-00"
    shard = ShardStore(store, stage.build, 0, folder, ObjectStore("documents"))
    publish_generation(shard, entry=entry, generation=2)


async def _load(
    stage: Stage, queries: Vectors, rate: float, quiet_seconds: float, store: HeldManifestStore
) -> tuple[list[DueSearch], float, float]:
    node, router = stage.members
    bodies = [query.tobytes() for query in queries]
    ended = asyncio.Event()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)) as session:
        loading = asyncio.create_task(_ask_all(session, router, bodies, rate, ended))
        await asyncio.sleep(quiet_seconds)
        began = time.perf_counter()
        store.let_go.set()
        await _await_generation(node, 2)
        await asyncio.sleep(PARTING_SECONDS)
        over = time.perf_counter()
        await asyncio.sleep(quiet_seconds)
        ended.set()
        return await loading, began, over


async def _await_generation(node: Member, generation: int) -> None:
    until = time.perf_counter() + TAKEOVER_SECONDS
    while (await asyncio.to_thread(node.report))["generation"] != generation:
        if time.perf_counter() > until:
            raise NoTakeover(f"generation {generation} was not served within {TAKEOVER_SECONDS:g} s; see {node.log}")
        await asyncio.sleep(POLL_SECONDS)


async def _ask_all(
    session: aiohttp.ClientSession, router: Member, bodies: list[bytes], rate: float, ended: asyncio.Event
) -> list[DueSearch]:
    """Send a search at each due instant, whether earlier ones are answered or not."""
    running: list[asyncio.Task[DueSearch]] = []
    due = time.perf_counter()
    while not ended.is_set():
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        body = bodies[len(running) % len(bodies)]
        running.append(asyncio.create_task(_ask(session, router, body, due)))
        due += 1 / rate
    return list(await asyncio.gather(*running))


async def _ask(session: aiohttp.ClientSession, router: Member, body: bytes, due: float) -> DueSearch:
    url = f"http://{router.address}:{PORT}/v1/search?k=10"
    try:
        async with session.post(url, data=body, headers={"Content-Type": "application/octet-stream"}) as answer:
            good = answer.status == 200 and not json.loads(await answer.read())["partial"]
    except (aiohttp.ClientError, TimeoutError):
        good = False
    return DueSearch(due, time.perf_counter() - due if good else None)


def _latencies(asked: list[DueSearch]) -> Latencies:
    latencies = [1000 * one.seconds for one in asked if one.seconds is not None]
    middle, high = np.percentile(latencies, (50, 99))
    return Latencies(
        len(asked), len(asked) - len(latencies), round(middle, 2), round(high, 2), round(max(latencies), 2)
    )
