"""hnswlib compiled for several instruction sets, side by side: the cost of the artifact's named level."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bare import BareIndex, bare
from benchmarks.measuring import K, Turns, exact, recall_of, say
from infra.boot.audit import LEVEL
from service.index.part import Vectors
from service.storage.builds import IndexParameters

PORTABLE, NATIVE = "x86-64", "native"
# Variables of hnswlib's own build; without NO_NATIVE it compiles for the building machine.
COMPILED: Mapping[str, Mapping[str, str]] = {
    NATIVE: {},
    LEVEL: {"HNSWLIB_NO_NATIVE": "1", "CXXFLAGS": f"-march={LEVEL}"},
    PORTABLE: {"HNSWLIB_NO_NATIVE": "1"},
}


class NotCompiled(Exception):
    """hnswlib could not be compiled; the message is the end of pip's output."""


def measure(vectors: Vectors, queries: Vectors, index: IndexParameters, turns: Turns) -> list[dict[str, Any]]:
    """
    Measure each level with one thread: recall, searches a second, build time, and their ratios to the native level's.
    """
    truth = exact(vectors, queries, K)
    with tempfile.TemporaryDirectory(prefix="levels-") as folder, ExitStack() as standing:
        entrants = {}
        for level in COMPILED:
            say(f"compiling for {level}, then building a graph")
            path = _compiled(level, Path(folder) / level)
            with _imported_from(path):
                entrants[level] = standing.enter_context(bare(vectors, queries, index, threads=1))
            if not entrants[level].library.is_relative_to(path):
                raise NotCompiled(f"{entrants[level].library} was loaded instead of what was compiled for {level}")
        recalls = {level: recall_of(one.answers(K), truth) for level, one in entrants.items()}
        rates = {level: [0.0] * turns.rounds for level in entrants}
        for number in range(turns.rounds):
            say(f"round {number + 1} of {turns.rounds}")
            for level, rate in _round(entrants, turns.seconds).items():
                rates[level][number] = rate
    built = {level: one.build_seconds for level, one in entrants.items()}
    return [_figures(level, recalls[level], rates, built) for level in entrants]


def _compiled(level: str, folder: Path) -> Path:
    """Compile hnswlib, of this environment's version, for a level; return the folder."""
    wanted = f"hnswlib=={version('hnswlib')}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-cache-dir", "--no-binary=hnswlib"]
    ours = {name for one in COMPILED.values() for name in one}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [*command, "--target", str(folder), wanted],
        env=environment | dict(COMPILED[level]),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotCompiled(f"{wanted} could not be compiled for {level}: {done.stderr.strip()[-800:]}")
    return folder


@contextmanager
def _imported_from(folder: Path) -> Iterator[None]:
    """Have processes that start in the block import from this folder first: they inherit this one's path."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _round(entrants: Mapping[str, BareIndex], seconds: float) -> dict[str, float]:
    """Return searches a second of each, one after the other on one processor."""
    processor = {min(os.sched_getaffinity(0))}
    turns = {level: one.turn(K, seconds, processor) for level, one in entrants.items()}
    return {level: turn.searches / turn.seconds for level, turn in turns.items()}


def _figures(level: str, recall: float, rates: Mapping[str, list[float]], built: Mapping[str, float]) -> dict[str, Any]:
    ratios = [one / native for one, native in zip(rates[level], rates[NATIVE], strict=True)]
    return {
        "level": level,
        "recall": round(recall, 4),
        "searches_per_second": round(median(rates[level])),
        "of_native": round(median(ratios), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "build_seconds": round(built[level], 1),
        "build_of_native": round(built[level] / built[NATIVE], 2),
    }
