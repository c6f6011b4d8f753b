"""Searches per second of the real service beside bare hnswlib, in turns on the same processor."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from benchmarks.bare import BareIndex, bare
from benchmarks.closed_loop import HttpSearches, Loop, request
from benchmarks.measuring import (
    exact,
    node_searches,
    on,
    percentile_ms,
    processors,
    public_rows,
    public_searches,
    recall_of,
    say,
)
from benchmarks.stage import Member, Stage, standing
from service.index.part import Vectors
from service.storage.builds import IndexParameters

APART = "apart"  # a fleet without a router
BARE = "hnswlib, one thread"


@dataclass(frozen=True)
class Setting:
    """`connections` at once, `rounds` turns of `seconds` of each contender."""

    k: int
    connections: int
    rounds: int
    seconds: float
    threads: int


class Contender(NamedTuple):
    """Searches, and the processes that work for them."""

    members: list[Member]
    searches: HttpSearches


@dataclass
class Figures:
    """One contender's turns. `ratios` are searches a second over those of bare hnswlib in the same round."""

    name: str
    recall: float
    per_second: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return medians, and the spread of the ratio."""
        plain: dict[str, Any] = {"name": self.name, "recall": round(self.recall, 4)}
        for name in ("per_second", "ratios", "p50_ms", "p95_ms", "cpu_us"):
            values = getattr(self, name)
            if values:
                plain[name.removesuffix("s") if name == "ratios" else name] = round(median(values), 4)
        if self.ratios:
            plain |= {"ratio_least": round(min(self.ratios), 4), "ratio_most": round(max(self.ratios), 4)}
        return plain


def measure(vectors: Vectors, queries: Vectors, index: IndexParameters, setting: Setting) -> list[Figures]:
    """Return every contender's figures with one index; the first is bare hnswlib."""
    truth = exact(vectors, queries, setting.k)
    server, client = processors()
    say(f"ef {index.ef_search}: building the graph twice, for the service and bare")
    with bare(vectors, queries, index, setting.threads) as raw, standing(vectors, index, server) as stage:
        if client != server:
            stage.add("node", server | client, fleet=APART)
        contenders = _contenders(stage, queries, setting.k, setting.connections)
        figures = [Figures(BARE, recall_of(raw.answers(setting.k), truth))]
        figures += [Figures(one.name, recall_of(one.rows(), truth)) for _, one in contenders]
        with on(client):
            for number in range(setting.rounds):
                say(f"ef {index.ef_search}: round {number + 1} of {setting.rounds}")
                _round(raw, contenders, figures, setting, server)
    return figures


def _contenders(stage: Stage, queries: Vectors, k: int, connections: int) -> list[Contender]:
    node, router, *wide = stage.members
    assert stage.build is not None
    build = stage.build.id
    listed = public_searches(router, queries, k, connections, "router and node, JSON numbers")
    coded = [json.dumps({"vector": base64.b64encode(query.tobytes()).decode(), "k": k}).encode() for query in queries]
    raw = [query.tobytes() for query in queries]

    def public(name: str, path: str, media_type: str, bodies: Sequence[bytes]) -> Contender:
        requests = [request(router.address, path, media_type, body) for body in bodies]
        return Contender([node, router], HttpSearches(name, router.host, requests, public_rows, connections))

    def internal(name: str, member: Member) -> Contender:
        return Contender([member], node_searches(member, build, queries, k, connections, name))

    return [
        internal("node, as routers ask it", node),
        Contender([node, router], listed),
        public("router and node, JSON base64", "/v1/search", "application/json", coded),
        public("router and node, raw float32", f"/v1/search?k={k}", "application/octet-stream", raw),
        *(internal("node, 2 processors, one shared with the load", one) for one in wide),
    ]


def _round(
    raw: BareIndex, contenders: Sequence[Contender], figures: Sequence[Figures], setting: Setting, server: set[int]
) -> None:
    for (members, searches), found in zip(contenders, figures[1:], strict=True):
        before = raw.turn(setting.k, setting.seconds, server)
        cpu = sum(member.cpu_seconds() for member in members)
        loop = searches.turn(setting.seconds)
        cpu = sum(member.cpu_seconds() for member in members) - cpu
        after = raw.turn(setting.k, setting.seconds, server)
        bare_per_second = (before.searches + after.searches) / (before.seconds + after.seconds)
        figures[0].per_second.append(bare_per_second)
        figures[0].cpu_us.append(1e6 / bare_per_second)
        _note(found, loop, cpu, bare_per_second)


def _note(found: Figures, loop: Loop, cpu_seconds: float, bare_per_second: float) -> None:
    found.per_second.append(loop.per_second)
    found.ratios.append(loop.per_second / bare_per_second)
    found.cpu_us.append(1e6 * cpu_seconds / len(loop.latencies))
    for name, percent in (("p50_ms", 50), ("p95_ms", 95)):
        getattr(found, name).append(percentile_ms(loop, percent))
