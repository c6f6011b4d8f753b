"""The real service beside other vector servers: same data, same graph parameters, searched in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.chroma import chroma
from benchmarks.closed_loop import Loop
from benchmarks.foreign import lance, milvus, weaviate
from benchmarks.measuring import exact, on, percentile_ms, processors, public_searches, recall_of, say
from benchmarks.peer import Peer, SearchLoad
from benchmarks.pgvector import pgvector
from benchmarks.stage import standing
from service.index.part import Vectors
from service.storage.builds import IndexParameters

Start = Callable[[Path, Path, Vectors, IndexParameters, SearchLoad, set[int]], AbstractContextManager[Peer]]
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
    """`rounds` turns of `seconds` of each; `programs` has the path of each peer's programs by its name."""

    rounds: int
    seconds: float
    shards: int
    programs: Mapping[str, Path]


def measure(vectors: Vectors, asked: SearchLoad, index: IndexParameters, setting: Setting) -> list[dict[str, Any]]:
    """
    Measure ours and every peer of `setting.programs`: recall, searches a second, P95, and their ratios to ours.

    All servers run at once on one processor, the callers on the other; only one server is searched at a time. A
    library searches in its caller's process, on the servers' processor.
    """
    server, client = processors()
    truth = exact(vectors, asked.queries, asked.k)
    with ExitStack() as stack:
        say(f"filling ours, {setting.shards} shards")
        entrants: list[Peer] = [stack.enter_context(_ours(vectors, index, asked, setting.shards, server))]
        for kind, program in setting.programs.items():
            say(f"filling {kind}")
            folder = stack.enter_context(_folder(kind))
            entrants.append(stack.enter_context(PEERS[kind](program, folder, vectors, index, asked, server)))
        recalls = [recall_of(one.rows(), truth) for one in entrants]
        with on(client):
            turns = [_round(entrants, setting.seconds, number) for number in range(setting.rounds)]
    return [_figures(one.name, recalls[i], [turn[i] for turn in turns], turns) for i, one in enumerate(entrants)]


@contextmanager
def _folder(kind: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"{kind}-") as folder:
        # PostgreSQL runs as another user if we are root.
        Path(folder).chmod(0o711)
        inside = Path(folder) / "peer"
        inside.mkdir()
        yield inside


@contextmanager
def _ours(
    vectors: Vectors,
    index: IndexParameters,
    asked: SearchLoad,
    shards: int,
    server: set[int],
) -> Iterator[Peer]:
    with standing(vectors, index, server, shards=shards) as stage:
        yield public_searches(stage.members[-1], asked.queries, asked.k, asked.connections, OURS)


def _round(entrants: list[Peer], seconds: float, number: int) -> list[Loop]:
    say(f"round {number + 1}")
    return [one.turn(seconds) for one in entrants]


def _figures(name: str, recall: float, mine: list[Loop], turns: list[list[Loop]]) -> dict[str, Any]:
    """Return medians; `ours` and `ours_p95` are the ratios of our searches and our P95 to this peer's in each round."""
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
    return percentile_ms(loop, 95)
