"""A peer that a program fills and asks: one that runs in the peer's own environment, for no package of it is ours."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop import Loop
from benchmarks.peer import Asked, PeerError, Process, end_of, pin, start
from benchmarks.programs.asking import Task
from rehearsal.emulator.launch import PROJECT
from service.index.part import Vectors
from service.storage.builds import IndexParameters

PROGRAMS = Path(__file__).parent / "programs"
ANSWER_SECONDS = 900.0


class Foreign:
    """A peer that is filled. Who asks it has `processors`, or those that this process has at that time."""

    def __init__(self, name: str, program: Program, asked: Asked, processors: set[int] | None) -> None:
        self.name = name
        self._program, self._asked, self._processors = program, asked, processors

    def rows(self) -> list[list[int]]:
        """The rows found for each query."""
        return list(self._program.told({"queries": len(self._asked.queries)})["rows"])

    def turn(self, seconds: float) -> Loop:
        """Searches for so many seconds, by one caller for each connection that others have."""
        pin(self._program.process.pid, self._processors or os.sched_getaffinity(0))
        answer = self._program.told({"queries": len(self._asked.queries), "seconds": seconds})
        return Loop(answer["seconds"], answer["latencies"])


class Program:
    """A running program of `programs`, which answers each line by one."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self._name, self.process, self._log = name, process, log

    def told(self, order: dict[str, Any]) -> dict[str, Any]:
        """What it answers; raises PeerError."""
        orders, answers = self.process.stdin, self.process.stdout
        assert orders is not None
        assert answers is not None
        try:
            orders.write(json.dumps(order).encode() + b"\n")
            orders.flush()
        except BrokenPipeError:
            raise self._silent() from None
        heard, _, _ = select.select([answers], [], [], ANSWER_SECONDS)
        line = answers.readline() if heard else b""
        if not line:
            raise self._silent()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self._name}: {answer['error']}")
        return answer

    def _silent(self) -> PeerError:
        return PeerError(f"{self._name} gave no answer: {end_of(self._log)}")


@contextmanager
def program(name: str, python: Path, path: Path, log: Path) -> Iterator[Program]:
    """A program in another Python, ended with the block."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with start(name, [str(python), str(path)], {"PYTHONPATH": str(PROJECT)}, log, **pipes) as process:
        try:
            yield Program(name, process, log)
        finally:
            process.kill()


def task(place: str, folder: Path, vectors: Vectors, index: IndexParameters, asked: Asked) -> Task:
    """What the program is to do, with the vectors as files in `folder`."""
    held, queries = folder / "vectors.npy", folder / "queries.npy"
    np.save(held, vectors)
    np.save(queries, asked.queries)
    graph = {"m": index.m, "ef_construction": index.ef_construction, "ef_search": index.ef_search}
    return Task(place, str(held), str(queries), asked.k, asked.connections, **graph)


def fill(running: Program, what: Task) -> None:
    """Have it take all vectors and build its graph; raises PeerError."""
    running.told(asdict(what))
