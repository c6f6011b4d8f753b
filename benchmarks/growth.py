"""Searches as a fleet grows: more vectors, more shards or more callers at once, one of them at a time."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks.bare import BareIndex, bare
from benchmarks.measuring import K, Turns, exact, on, processors, public_searches, recall_of, say
from benchmarks.stage import Member, Stage, standing
from service.index.part import Vectors
from service.storage.builds import IndexParameters

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SHARDS = (1, 2, 4)
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
MIDDLE_ROWS = 100_000
MIDDLE_CONNECTIONS = 8


@dataclass(frozen=True)
class Fleet:
    """The fleet that a point is measured with."""

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


def wanted(rows: int) -> dict[Fleet, set[int]]:
    """Return the fleets for the three curves over at most so many rows, each with its numbers of callers."""
    middle = min(rows, MIDDLE_ROWS)
    needed: dict[Fleet, set[int]] = defaultdict(set)
    for size in {*(one for one in SIZES if one <= rows), middle}:
        needed[Fleet(size, 1)].add(MIDDLE_CONNECTIONS)
    for shards in SHARDS:
        needed[Fleet(middle, shards)].add(MIDDLE_CONNECTIONS)
    needed[Fleet(middle, 1)] |= set(CONNECTIONS)
    return dict(needed)


def measure(vectors: Vectors, queries: Vectors, index: IndexParameters, turns: Turns) -> list[Point]:
    """Measure every point of the three curves; the service has one processor, the callers the other."""
    points: list[Point] = []
    for fleet, connections in sorted(wanted(len(vectors)).items(), key=lambda one: (one[0].rows, one[0].shards)):
        held = vectors[: fleet.rows]
        say(f"{fleet.rows:,} vectors, {fleet.shards} shards: building the graphs")
        with (
            bare(held, queries, index, len(os.sched_getaffinity(0))) as raw,
            standing(held, index, processors()[0], shards=fleet.shards) as stage,
        ):
            truth = exact(held, queries, K)
            points += [_point(stage, raw, queries, truth, one, turns) for one in sorted(connections)]
    return points


def _point(stage: Stage, raw: BareIndex, queries: Vectors, truth: Any, connections: int, turns: Turns) -> Point:
    *nodes, router = stage.members
    searches = public_searches(router, queries, K, connections)
    recall = recall_of(searches.rows(), truth)
    server, client = processors()
    figures = []
    with on(client):
        for _ in range(turns.rounds):
            before = raw.turn(K, turns.seconds, server)
            loop = searches.turn(turns.seconds)
            after = raw.turn(K, turns.seconds, server)
            alone = (before.searches + after.searches) / (before.seconds + after.seconds)
            latencies = 1000 * np.asarray(loop.latencies)
            figures.append((loop.per_second, loop.per_second / alone, *np.percentile(latencies, [50, 95])))
    per_second, of_bare, p50, p95 = (float(median(values)) for values in zip(*figures, strict=True))
    return Point(
        rows=len(stage.vectors),
        shards=stage.shards,
        connections=connections,
        recall=round(recall, 4),
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
    """Return the points of each curve in order: over vectors, over shards, over callers at once."""
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
    return {name: [asdict(one) for one in curve] for name, curve in curves(points).items()}


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw the curves: searches a second as a share of hnswlib's above, latencies below."""
    # Slow to import, and only pictures need it.
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
