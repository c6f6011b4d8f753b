"""What a router over two shards adds to asking one of them directly: latency at light load, and searches at full."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from benchmarks.closed_loop import Loop, ask, closed_loop, request
from benchmarks.serving import exact, on, processors, public_requests, public_rows, recall_of
from benchmarks.stage import Stage, staged
from service.index.part import Vectors
from service.node.messages import MEDIA_TYPE, ShardQuery
from service.storage.builds import IndexParameters

SHARDS = 2
K = 10
LIGHT, FULL = 1, 8  # callers at once


@dataclass(frozen=True)
class Setting:
    """`rounds` turns of `seconds` of each, at light load and at full."""

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Way:
    """Where to ask, and what."""

    address: tuple[str, int]
    requests: Sequence[bytes]

    def turn(self, callers: int, seconds: float) -> Loop:
        """Searches by so many callers at once for so many seconds."""
        return closed_loop(self.address, self.requests, callers, seconds)


def measure(
    vectors: Vectors, queries: Vectors, index: IndexParameters, setting: Setting, say: Callable[[str], None]
) -> dict[str, Any]:
    """The router's P95 above the shard's, and its searches as a share of the shard's: medians of rounds."""
    server, client = processors()
    say("building the graphs")
    with (
        tempfile.TemporaryDirectory(prefix="hop-") as folder,
        staged(Path(folder), vectors, index, shards=SHARDS) as stage,
    ):
        stage.fill(2)
        for shard in range(SHARDS):
            stage.add("node", server, shard=shard)
        stage.add("router", server)
        direct, routed = _ways(stage, queries)
        found = [public_rows(body) for body in ask(routed.address, routed.requests)]
        rounds = []
        with on(client):
            for number in range(setting.rounds):
                say(f"round {number + 1} of {setting.rounds}")
                rounds.append(_round(direct, routed, setting.seconds))
    columns = {name: [one[name] for one in rounds] for name in rounds[0]}
    return {
        "rows": len(vectors),
        "dims": int(vectors.shape[1]),
        "recall": round(recall_of(found, exact(vectors, queries, K)), 4),
        **{name: round(float(median(values)), 4) for name, values in columns.items()},
        "least": round(min(columns["of_direct"]), 4),
        "most": round(max(columns["of_direct"]), 4),
    }


def _ways(stage: Stage, queries: Vectors) -> tuple[Way, Way]:
    node, *_, router = stage.members
    assert stage.build is not None
    own = [msgspec.msgpack.encode(ShardQuery(stage.build.id, query.tobytes(), K)) for query in queries]
    return (
        Way(node.host, [request(node.address, "/search", MEDIA_TYPE, body) for body in own]),
        Way(router.host, public_requests(router, queries, K)),
    )


def _round(direct: Way, routed: Way, seconds: float) -> dict[str, float]:
    light = {name: way.turn(LIGHT, seconds) for name, way in (("direct", direct), ("routed", routed))}
    full = {name: way.turn(FULL, seconds) for name, way in (("direct", direct), ("routed", routed))}
    p95 = {name: 1000 * float(np.percentile(loop.latencies, 95)) for name, loop in light.items()}
    return {
        "direct_p95_ms": p95["direct"],
        "routed_p95_ms": p95["routed"],
        "added_p95_ms": p95["routed"] - p95["direct"],
        "direct_per_second": full["direct"].per_second,
        "routed_per_second": full["routed"].per_second,
        "of_direct": full["routed"].per_second / full["direct"].per_second,
    }
