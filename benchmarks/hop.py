"""The cost of a router over two shards, compared with one shard directly: latency at light load, rate at full load."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.closed_loop import HttpSearches
from benchmarks.measuring import (
    K,
    Turns,
    exact,
    node_searches,
    on,
    percentile_ms,
    processors,
    public_searches,
    recall_of,
    say,
)
from benchmarks.stage import Stage, standing
from service.index.part import Vectors
from service.storage.builds import IndexParameters

SHARDS = 2
LIGHT, FULL = 1, 8  # callers at once


def measure(vectors: Vectors, queries: Vectors, index: IndexParameters, turns: Turns) -> dict[str, Any]:
    """Return the router's added P95, and its rate as a share of the shard's: medians of rounds."""
    server, client = processors()
    say("building the graphs")
    with standing(vectors, index, server, shards=SHARDS, threads=2) as stage:
        searches = {callers: _searches(stage, queries, callers) for callers in (LIGHT, FULL)}
        found = searches[LIGHT][1].rows()
        rounds = []
        with on(client):
            for number in range(turns.rounds):
                say(f"round {number + 1} of {turns.rounds}")
                rounds.append(_round(searches, turns.seconds))
    columns = {name: [one[name] for one in rounds] for name in rounds[0]}
    return {
        "rows": len(vectors),
        "dims": int(vectors.shape[1]),
        "recall": round(recall_of(found, exact(vectors, queries, K)), 4),
        **{name: round(float(median(values)), 4) for name, values in columns.items()},
        "least": round(min(columns["of_direct"]), 4),
        "most": round(max(columns["of_direct"]), 4),
    }


def _searches(stage: Stage, queries: Vectors, callers: int) -> tuple[HttpSearches, HttpSearches]:
    """Return the searches of one shard directly, and those through the router."""
    node, *_, router = stage.members
    assert stage.build is not None
    direct = node_searches(node, stage.build.id, queries, K, callers)
    return direct, public_searches(router, queries, K, callers)


def _round(searches: Mapping[int, tuple[HttpSearches, HttpSearches]], seconds: float) -> dict[str, float]:
    light, full = ([one.turn(seconds) for one in searches[callers]] for callers in (LIGHT, FULL))
    direct_p95, routed_p95 = (percentile_ms(loop, 95) for loop in light)
    return {
        "direct_p95_ms": direct_p95,
        "routed_p95_ms": routed_p95,
        "added_p95_ms": routed_p95 - direct_p95,
        "direct_per_second": full[0].per_second,
        "routed_per_second": full[1].per_second,
        "of_direct": full[1].per_second / full[0].per_second,
    }
