"""Measures that the benchmarks share: exact answers, recall, latencies, processors, and searches of the public API."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click
import msgspec
import numpy as np

from benchmarks.closed_loop import HttpSearches, Loop, request
from benchmarks.stage import Member, row_of
from service.index.part import Labels, Vectors
from service.wire.messages import MEDIA_TYPE, ShardAnswer, ShardQuery

K = 10


@dataclass(frozen=True)
class Turns:
    """The length of a measurement: `rounds` turns of `seconds` each."""

    rounds: int
    seconds: float


@contextmanager
def on(processors: set[int]) -> Iterator[None]:
    """Run this process on these processors alone while the block runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processors() -> tuple[set[int], set[int]]:
    """Return one processor for the service and another for the load, or the same one if there is no other."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others[:1]) or {first}


def public_searches(router: Member, queries: Vectors, k: int, connections: int, name: str = "") -> HttpSearches:
    """Return searches of the public API: a vector as numbers in JSON."""
    bodies = (json.dumps({"vector": query.tolist(), "k": k}).encode() for query in queries)
    requests = [request(router.address, "/v1/search", "application/json", body) for body in bodies]
    return HttpSearches(name, router.host, requests, public_rows, connections)


def public_rows(body: bytes) -> list[int]:
    return [row_of(hit["source_id"]) for hit in json.loads(body)["hits"]]


def node_searches(node: Member, build: str, queries: Vectors, k: int, connections: int, name: str = "") -> HttpSearches:
    """Return searches of a node, as routers send them."""
    bodies = (msgspec.msgpack.encode(ShardQuery(build, query.tobytes(), k)) for query in queries)
    requests = [request(node.address, "/search", MEDIA_TYPE, body) for body in bodies]
    return HttpSearches(name, node.host, requests, _node_rows, connections)


def _node_rows(body: bytes) -> list[int]:
    return [row_of(hit.source_id) for hit in msgspec.msgpack.decode(body, type=ShardAnswer).hits]


def exact(vectors: Vectors, queries: Vectors, k: int) -> Labels:
    """Return the rows with the largest inner products, shape (queries, k)."""
    found = [np.argpartition(-(vectors @ query), k - 1)[:k] for query in queries]
    return np.stack(found).astype(np.int64)


def recall_of(found: Sequence[Sequence[int]] | Labels, truth: Labels) -> float:
    """Return the mean share of the right rows."""
    pairs = zip(found, truth, strict=True)
    return float(np.mean([len({*map(int, mine)} & {*map(int, right)}) / len(right) for mine, right in pairs]))


def percentile_ms(loop: Loop, percent: float) -> float:
    return 1000 * float(np.percentile(loop.latencies, percent))


def say(progress: str) -> None:
    """Report progress on standard error."""
    click.echo(progress, err=True)
