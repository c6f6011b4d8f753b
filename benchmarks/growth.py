"""How searches fare as a fleet grows: more vectors, more shards, more callers at once, one of them at a time."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks.bare import Bare, bare
from benchmarks.closed_loop import ask, closed_loop
from benchmarks.serving import exact, on, processors, public_requests, public_rows, recall_of
from benchmarks.stage import Member, Stage, staged
from service.index.part import Vectors
from service.storage.builds import IndexParameters

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SHARDS = (1, 2, 4)
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
MIDDLE_ROWS = 100_000
MIDDLE_CONNECTIONS = 8
K = 10


@dataclass(frozen=True)
class Fleet:
    """What a point is measured with, its callers left out."""

    rows: int
    shards: int


@dataclass(frozen=True)
class Point:
    """
    Medians of some turns. `of_bare` is the ratio of searches a second to those of one thread of hnswlib over the same
    rows, in the same turns; `node_bytes` the private memory of all nodes.
    """

    rows: int
    shards: int
    connections: int
    recall: float
    per_second: float
    of_bare: float
    p50_ms: float
    p95_ms: float
    node_bytes: int


@dataclass(frozen=True)
class Setting:
    """How long each point is measured: `rounds` turns of `seconds`."""

    rounds: int
    seconds: float


def wanted(rows: int) -> dict[Fleet, set[int]]:
    """Which fleets are needed for the three curves over at most so many rows, and with how many callers each."""
    middle = min(rows, MIDDLE_ROWS)
    needed: dict[Fleet, set[int]] = defaultdict(set)
    for size in {*(one for one in SIZES if one <= rows), middle}:
        needed[Fleet(size, 1)].add(MIDDLE_CONNECTIONS)
    for shards in SHARDS:
        needed[Fleet(middle, shards)].add(MIDDLE_CONNECTIONS)
    needed[Fleet(middle, 1)] |= set(CONNECTIONS)
    return dict(needed)


def measure(
    vectors: Vectors, queries: Vectors, index: IndexParameters, setting: Setting, say: Callable[[str], None]
) -> list[Point]:
    """Every point of the three curves; the service has one processor, who asks the other."""
    points: list[Point] = []
    for fleet, connections in sorted(wanted(len(vectors)).items(), key=lambda one: (one[0].rows, one[0].shards)):
        held = vectors[: fleet.rows]
        say(f"{fleet.rows:,} vectors, {fleet.shards} shards: building the graphs")
        with _standing(held, queries, index, fleet) as (raw, stage):
            points += [
                _point(stage, raw, queries, exact(held, queries, K), one, setting) for one in sorted(connections)
            ]
    return points


@contextmanager
def _standing(vectors: Vectors, queries: Vectors, index: IndexParameters, fleet: Fleet) -> Iterator[tuple[Bare, Stage]]:
    threads = len(os.sched_getaffinity(0))
    server, _ = processors()
    with (
        tempfile.TemporaryDirectory(prefix="growth-") as folder,
        bare(vectors, queries, index, threads) as raw,
        staged(Path(folder), vectors, index, shards=fleet.shards) as stage,
    ):
        stage.fill(threads)
        for shard in range(fleet.shards):
            stage.add("node", server, shard=shard)
        stage.add("router", server)
        yield raw, stage


def _point(stage: Stage, raw: Bare, queries: Vectors, truth: Any, connections: int, setting: Setting) -> Point:
    *nodes, router = stage.members
    requests = public_requests(router, queries, K)
    found = [public_rows(body) for body in ask(router.host, requests)]
    server, client = processors()
    turns = []
    with on(client):
        for _ in range(setting.rounds):
            before = raw.turn(K, setting.seconds, server)
            loop = closed_loop(router.host, requests, connections, setting.seconds)
            after = raw.turn(K, setting.seconds, server)
            alone = (before.searches + after.searches) / (before.seconds + after.seconds)
            latencies = 1000 * np.asarray(loop.latencies)
            turns.append((loop.per_second, loop.per_second / alone, *np.percentile(latencies, [50, 95])))
    per_second, of_bare, p50, p95 = (float(median(values)) for values in zip(*turns, strict=True))
    return Point(
        rows=len(stage.vectors),
        shards=stage.shards,
        connections=connections,
        recall=round(recall_of(found, truth), 4),
        per_second=round(per_second, 1),
        of_bare=round(of_bare, 3),
        p50_ms=round(p50, 2),
        p95_ms=round(p95, 2),
        node_bytes=sum(map(_private_bytes, nodes)),
    )


def _private_bytes(member: Member) -> int:
    own = psutil.Process(member.process.pid)
    return sum(int(one.memory_full_info().uss) for one in (own, *own.children(recursive=True)))


def curves(points: Sequence[Point]) -> dict[str, list[Point]]:
    """The points of each curve in order: over vectors, over shards, over callers at once."""
    middle = max((one.rows for one in points if one.shards > 1), default=0)
    usual = [one for one in points if one.connections == MIDDLE_CONNECTIONS]
    return {
        "vectors": sorted((one for one in usual if one.shards == 1), key=lambda one: one.rows),
        "shards": sorted((one for one in usual if one.rows == middle), key=lambda one: one.shards),
        "connections": sorted(
            (one for one in points if (one.rows, one.shards) == (middle, 1)), key=lambda one: one.connections
        ),
    }


def to_json(points: Sequence[Point]) -> dict[str, Any]:
    """Plain data, curve by curve."""
    return {name: [asdict(one) for one in curve] for name, curve in curves(points).items()}


def draw(points: Sequence[Point], path: Path) -> None:
    """A picture of the curves: searches a second as a share of hnswlib's above, latencies below."""
    # Only who wants a picture waits for it.
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "growth"
    from matplotlib import pyplot

    titles = {"vectors": "vectors", "shards": "shards", "connections": "callers at once"}
    figure, axes = pyplot.subplots(2, len(titles), figsize=(11, 5.5), sharex="col", layout="constrained")
    for column, (name, curve) in enumerate(curves(points).items()):
        along = [one.rows if name == "vectors" else getattr(one, name) for one in curve]
        above, below = axes[0][column], axes[1][column]
        above.plot(along, [one.of_bare for one in curve], "o-", color="#1f5fa8")
        above.set_ylim(0, 1.12 * max(one.of_bare for one in curve))
        below.plot(along, [one.p95_ms for one in curve], "o-", color="#b3402e", label="P95")
        below.plot(along, [one.p50_ms for one in curve], "o-", color="#d9a441", label="P50")
        below.set_ylim(0, 1.12 * max(one.p95_ms for one in curve))
        below.set_xscale("log")
        below.set_xticks(along, [f"{one:,}" for one in along])
        below.minorticks_off()
        below.set_xlabel(titles[name])
        for one in (above, below):
            one.grid(alpha=0.25)
            one.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("searches/s, of bare hnswlib's")
    axes[1][0].set_ylabel("milliseconds")
    axes[1][0].legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
