"""The loop of a peer's program: fill the peer, then search it by orders in lines of JSON."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from benchmarks.closed_loop import Loop

# The rows nearest to the query of this number.
Near = Callable[[int], list[int]]
NearLater = Callable[[int], Awaitable[list[int]]]


@dataclass(frozen=True)
class Task:
    """The task of a program: `place` is a server's address or a folder; the vectors are .npy files."""

    place: str
    vectors: str
    queries: str
    k: int
    callers: int
    m: int
    ef_construction: int
    ef_search: int


class Searches(Protocol):
    """A filled peer with several callers at once; each sends its next search when it has an answer."""

    def rows(self, queries: int) -> list[list[int]]:
        """Return the rows found for each query, one after another."""

    def turn(self, queries: int, callers: int, seconds: float) -> Loop:
        """Search for so many seconds."""


class Threads:
    """Searches with a thread for each caller."""

    def __init__(self, near: Near) -> None:
        self._near = near

    def rows(self, queries: int) -> list[list[int]]:
        return [self._near(query) for query in range(queries)]

    def turn(self, queries: int, callers: int, seconds: float) -> Loop:
        started = time.perf_counter()

        def caller(first: int) -> list[float]:
            latencies: list[float] = []
            for query in itertools.count(first, callers):
                before = time.perf_counter()
                if before >= started + seconds:
                    break
                self._near(query % queries)
                latencies.append(time.perf_counter() - before)
            return latencies

        with ThreadPoolExecutor(callers) as pool:
            each = list(pool.map(caller, range(callers)))
        return Loop(time.perf_counter() - started, list(itertools.chain(*each)))


class Coroutines:
    """Searches with a coroutine for each caller, for a library with an asynchronous interface."""

    def __init__(self, near: NearLater, runner: asyncio.Runner) -> None:
        self._near, self._runner = near, runner

    def rows(self, queries: int) -> list[list[int]]:
        return self._runner.run(self._rows(queries))

    def turn(self, queries: int, callers: int, seconds: float) -> Loop:
        return self._runner.run(self._turn(queries, callers, seconds))

    async def _rows(self, queries: int) -> list[list[int]]:
        return [await self._near(query) for query in range(queries)]

    async def _turn(self, queries: int, callers: int, seconds: float) -> Loop:
        started = time.perf_counter()

        async def caller(first: int) -> list[float]:
            latencies: list[float] = []
            for query in itertools.count(first, callers):
                before = time.perf_counter()
                if before >= started + seconds:
                    break
                await self._near(query % queries)
                latencies.append(time.perf_counter() - before)
            return latencies

        each = await asyncio.gather(*map(caller, range(callers)))
        return Loop(time.perf_counter() - started, list(itertools.chain(*each)))


def serve(filled: Callable[[Task], Searches]) -> None:
    """Read a task and then orders from standard input, and answer each with one line, until the input ends."""
    with _own_output() as answers:
        try:
            task = Task(**json.loads(sys.stdin.readline()))
            searches = filled(task)
            _say(answers, {})
            for line in sys.stdin:
                _say(answers, _done(searches, task, json.loads(line)))
        except Exception as error:
            _say(answers, {"error": f"{type(error).__name__}: {error}"[:500]})
            raise


def _done(searches: Searches, task: Task, order: dict[str, Any]) -> dict[str, Any]:
    queries = order["queries"]
    if "seconds" not in order:
        return {"rows": searches.rows(queries)}
    loop = searches.turn(queries, task.callers, order["seconds"])
    return {"seconds": loop.seconds, "latencies": loop.latencies}


@contextmanager
def _own_output() -> Iterator[TextIO]:
    with os.fdopen(os.dup(1), "w") as answers:
        # The output of a library that prints goes to the log instead.
        os.dup2(2, 1)
        yield answers


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
