"""Fill a peer, then ask it by threads as lines of JSON say; what a library prints meanwhile goes to the log."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from benchmarks.closed_loop import Loop

# The rows nearest to the query of this number.
Near = Callable[[int], list[int]]


@dataclass(frozen=True)
class Task:
    """What to fill and to ask: `place` is a server's address or a folder; the vectors are .npy files."""

    place: str
    vectors: str
    queries: str
    k: int
    callers: int
    m: int
    ef_construction: int
    ef_search: int


def threaded_loop(near: Near, queries: int, callers: int, seconds: float) -> Loop:
    """As many threads as callers, each asking the next query when it has its answer, for so many seconds."""
    started = time.perf_counter()

    def ask(first: int) -> list[float]:
        latencies: list[float] = []
        for number in itertools.count(first, callers):
            before = time.perf_counter()
            if before >= started + seconds:
                break
            near(number % queries)
            latencies.append(time.perf_counter() - before)
        return latencies

    with ThreadPoolExecutor(callers) as pool:
        latencies = [one for each in pool.map(ask, range(callers)) for one in each]
    return Loop(time.perf_counter() - started, latencies)


def serve(filled: Callable[[Task], Near]) -> None:
    """Read a task and then orders from standard input, and answer each by one line, until the input ends."""
    with _own_output() as answers:
        try:
            task = Task(**json.loads(sys.stdin.readline()))
            near = filled(task)
            _say(answers, {})
            for line in sys.stdin:
                _say(answers, _done(near, task, json.loads(line)))
        except Exception as error:
            _say(answers, {"error": f"{type(error).__name__}: {error}"[:500]})
            raise


def _done(near: Near, task: Task, order: dict[str, Any]) -> dict[str, Any]:
    queries = order["queries"]
    if "seconds" not in order:
        return {"rows": [near(query) for query in range(queries)]}
    loop = threaded_loop(near, queries, task.callers, order["seconds"])
    return {"seconds": loop.seconds, "latencies": loop.latencies}


@contextmanager
def _own_output() -> Iterator[TextIO]:
    with os.fdopen(os.dup(1), "w") as answers:
        # A library that prints would otherwise speak in between.
        os.dup2(2, 1)
        yield answers


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
