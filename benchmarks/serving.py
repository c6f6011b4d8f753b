"""Searches per second of the real service beside bare hnswlib, in turns on the same processor."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from benchmarks.bare import Bare, bare
from benchmarks.closed_loop import Loop, ask, closed_loop, request
from benchmarks.stage import Member, Stage, row_of, staged
from service.index.part import Labels, Vectors
from service.node.messages import MEDIA_TYPE, ShardAnswer, ShardQuery
from service.storage.builds import IndexParameters

APART = "apart"  # no router looks for nodes there
BARE = "hnswlib, one thread"


@dataclass(frozen=True)
class Setting:
    """What is measured and how long: `connections` at once, `rounds` turns of `seconds` of each contender."""

    k: int
    connections: int
    rounds: int
    seconds: float
    threads: int


@dataclass(frozen=True)
class Contender:
    """A way to ask: which processes work for it, and the requests, one per query."""

    name: str
    members: list[Member]
    address: tuple[str, int]
    requests: list[bytes]
    rows: Callable[[bytes], list[int]]


@dataclass
class Figures:
    """One contender's turns. `ratios` are of each turn to bare hnswlib's in the same round."""

    name: str
    recall: float
    per_second: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Medians, and the spread of the ratio."""
        plain: dict[str, Any] = {"name": self.name, "recall": round(self.recall, 4)}
        for name in ("per_second", "ratios", "p50_ms", "p95_ms", "cpu_us"):
            values = getattr(self, name)
            if values:
                plain[name.removesuffix("s") if name == "ratios" else name] = round(median(values), 4)
        if self.ratios:
            plain |= {"ratio_least": round(min(self.ratios), 4), "ratio_most": round(max(self.ratios), 4)}
        return plain


def measure(
    vectors: Vectors, queries: Vectors, index: IndexParameters, setting: Setting, say: Callable[[str], None]
) -> list[Figures]:
    """Every contender's figures with one index; the first is bare hnswlib."""
    truth = exact(vectors, queries, setting.k)
    server, client = processors()
    say(f"ef {index.ef_search}: building the graph twice, for the service and bare")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        bare(vectors, queries, index, setting.threads) as raw,
        standing(Path(folder), vectors, index, setting.threads, server) as stage,
    ):
        if client != server:
            stage.add("node", server | client, fleet=APART)
        contenders = _contenders(stage, queries, setting.k)
        figures = [Figures(BARE, recall_of(raw.answers(setting.k), truth))]
        figures += [Figures(one.name, _recall(one, truth)) for one in contenders]
        with on(client):
            for number in range(setting.rounds):
                say(f"ef {index.ef_search}: round {number + 1} of {setting.rounds}")
                _round(raw, contenders, figures, setting, server)
    return figures


@contextmanager
def on(processors: set[int]) -> Iterator[None]:
    """This process on these processors alone while the block runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processors() -> tuple[set[int], set[int]]:
    """One for the service and the rest for who asks; the same one where there is no other."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others[:1]) or {first}


@contextmanager
def standing(
    folder: Path, vectors: Vectors, index: IndexParameters, threads: int, processors: set[int]
) -> Iterator[Stage]:
    """A node and a router that knows it, each on these processors."""
    with staged(folder, vectors, index, shards=1) as stage:
        stage.fill(threads)
        stage.add("node", processors)
        stage.add("router", processors)
        yield stage


def _contenders(stage: Stage, queries: Vectors, k: int) -> list[Contender]:
    node, router, *wide = stage.members
    assert stage.build is not None
    build = stage.build.id
    own = [msgspec.msgpack.encode(ShardQuery(build, query.tobytes(), k)) for query in queries]
    listed = public_requests(router, queries, k)
    coded = [json.dumps({"vector": base64.b64encode(query.tobytes()).decode(), "k": k}).encode() for query in queries]
    raw = [query.tobytes() for query in queries]

    def public(name: str, path: str, media_type: str, bodies: Sequence[bytes]) -> Contender:
        requests = [request(router.address, path, media_type, body) for body in bodies]
        return Contender(name, [node, router], router.host, requests, public_rows)

    def internal(name: str, member: Member) -> Contender:
        requests = [request(member.address, "/search", MEDIA_TYPE, body) for body in own]
        return Contender(name, [member], member.host, requests, _node_rows)

    return [
        internal("node, as routers ask it", node),
        Contender("router and node, JSON numbers", [node, router], router.host, listed, public_rows),
        public("router and node, JSON base64", "/v1/search", "application/json", coded),
        public("router and node, raw float32", f"/v1/search?k={k}", "application/octet-stream", raw),
        *(internal("node, 2 processors, one shared with who asks", one) for one in wide),
    ]


def _node_rows(body: bytes) -> list[int]:
    return [row_of(hit.source_id) for hit in msgspec.msgpack.decode(body, type=ShardAnswer).hits]


def public_requests(router: Member, queries: Vectors, k: int) -> list[bytes]:
    """Searches as anybody asks them: a vector as numbers in JSON."""
    bodies = (json.dumps({"vector": query.tolist(), "k": k}).encode() for query in queries)
    return [request(router.address, "/v1/search", "application/json", body) for body in bodies]


def public_rows(body: bytes) -> list[int]:
    """The rows that an answer to one of them has found."""
    return [row_of(hit["source_id"]) for hit in json.loads(body)["hits"]]


def _round(
    raw: Bare, contenders: Sequence[Contender], figures: Sequence[Figures], setting: Setting, server: set[int]
) -> None:
    for one, found in zip(contenders, figures[1:], strict=True):
        before = raw.turn(setting.k, setting.seconds, server)
        cpu = sum(member.cpu_seconds() for member in one.members)
        loop = closed_loop(one.address, one.requests, setting.connections, setting.seconds)
        cpu = sum(member.cpu_seconds() for member in one.members) - cpu
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
        getattr(found, name).append(1000 * float(np.percentile(loop.latencies, percent)))


def exact(vectors: Vectors, queries: Vectors, k: int) -> Labels:
    """The rows with the largest inner products, shape (queries, k)."""
    found = [np.argpartition(-(vectors @ query), k - 1)[:k] for query in queries]
    return np.stack(found).astype(np.int64)


def _recall(one: Contender, truth: Labels) -> float:
    return recall_of([one.rows(body) for body in ask(one.address, one.requests)], truth)


def recall_of(found: Sequence[Sequence[int]] | Labels, truth: Labels) -> float:
    """The mean share of the right rows."""
    pairs = zip(found, truth, strict=True)
    return float(np.mean([len({*map(int, mine)} & {*map(int, right)}) / len(right) for mine, right in pairs]))
