"""The real service beside other servers of vectors: same data, same parameters of the graph, asked in turns."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.chroma import chroma
from benchmarks.closed_loop import Loop, ask, closed_loop
from benchmarks.lance import lance
from benchmarks.milvus import milvus
from benchmarks.peer import Asked, Peer
from benchmarks.pgvector import pgvector
from benchmarks.serving import exact, on, processors, public_requests, public_rows, recall_of
from benchmarks.stage import Stage, staged
from benchmarks.weaviate import weaviate
from service.index.part import Vectors
from service.storage.builds import IndexParameters

Start = Callable[[Path, Path, Vectors, IndexParameters, Asked, set[int]], AbstractContextManager[Peer]]
PEERS: Mapping[str, Start] = {
    "chroma": chroma,
    "postgres": pgvector,
    "milvus": milvus,
    "lancedb": lance,
    "weaviate": weaviate,
}
OURS = "vectorfleet, router and nodes"


@dataclass(frozen=True)
class Setting:
    """`rounds` turns of `seconds` of each; `programs` says where a peer's programs are, by its name."""

    rounds: int
    seconds: float
    shards: int
    programs: Mapping[str, Path]


class Ours:
    """A fleet of ours, asked as anybody asks it: a vector as numbers in JSON."""

    name = OURS

    def __init__(self, stage: Stage, asked: Asked) -> None:
        *_, router = stage.members
        self._requests = public_requests(router, asked.queries, asked.k)
        self._host, self._asked = router.host, asked

    def rows(self) -> list[list[int]]:
        """The rows found for each query."""
        return [public_rows(body) for body in ask(self._host, self._requests)]

    def turn(self, seconds: float) -> Loop:
        """Searches for so many seconds."""
        return closed_loop(self._host, self._requests, self._asked.connections, seconds)


def measure(
    vectors: Vectors, asked: Asked, index: IndexParameters, setting: Setting, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """
    Ours and every peer whose programs are given: recall, searches a second, P95, and how many times as much ours does.

    All servers stand at once on one processor, who asks has the other; a server that isn't asked does nothing. Of a
    library the process that asks is the one that searches, on the servers' processor.
    """
    server, client = processors()
    truth = exact(vectors, asked.queries, asked.k)
    with ExitStack() as standing:
        entrants: list[Peer] = [standing.enter_context(_ours(vectors, index, asked, setting.shards, server, say))]
        for kind, program in setting.programs.items():
            say(f"filling {kind}")
            folder = standing.enter_context(_folder(kind))
            entrants.append(standing.enter_context(PEERS[kind](program, folder, vectors, index, asked, server)))
        recalls = [recall_of(one.rows(), truth) for one in entrants]
        with on(client):
            turns = [_round(entrants, setting.seconds, say, number) for number in range(setting.rounds)]
    return [_figures(one.name, recalls[i], [turn[i] for turn in turns], turns) for i, one in enumerate(entrants)]


@contextmanager
def _folder(kind: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"{kind}-") as folder:
        # PostgreSQL runs as somebody else where we are root.
        Path(folder).chmod(0o711)
        inside = Path(folder) / "peer"
        inside.mkdir()
        yield inside


@contextmanager
def _ours(
    vectors: Vectors, index: IndexParameters, asked: Asked, shards: int, server: set[int], say: Callable[[str], None]
) -> Iterator[Peer]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        staged(Path(folder), vectors, index, shards=shards) as stage,
    ):
        say(f"filling ours, {shards} shards")
        stage.fill(len(os.sched_getaffinity(0)))
        for shard in range(shards):
            stage.add("node", server, shard=shard)
        stage.add("router", server)
        yield Ours(stage, asked)


def _round(entrants: list[Peer], seconds: float, say: Callable[[str], None], number: int) -> list[Loop]:
    say(f"round {number + 1}")
    return [one.turn(seconds) for one in entrants]


def _figures(name: str, recall: float, mine: list[Loop], turns: list[list[Loop]]) -> dict[str, Any]:
    """`ours` is how many times as many searches ours did in the same round, and `ours_p95` its share of the P95."""
    ours = [turn[0] for turn in turns]
    ratios = [first.per_second / one.per_second for first, one in zip(ours, mine, strict=True)]
    shares = [_p95(first) / _p95(one) for first, one in zip(ours, mine, strict=True)]
    return {
        "name": name,
        "recall": round(recall, 4),
        "per_second": round(median(one.per_second for one in mine)),
        "p95_ms": round(median(map(_p95, mine)), 2),
        "ours": round(median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
        "ours_p95": round(median(shares), 2),
    }


def _p95(loop: Loop) -> float:
    return 1000 * float(np.percentile(loop.latencies, 95))
