"""Bare hnswlib in its own process: the same vectors and parameters, one thread, nothing around it."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import hnswlib
import numpy as np

from service.index.part import Labels, Vectors
from service.storage.builds import IndexParameters

ENDED_SECONDS = 10.0


class Turn(NamedTuple):
    """Searches of one thread, and their seconds."""

    searches: int
    seconds: float


class BareIndex:
    """The index of the other process, built by the `library` that it loaded."""

    def __init__(self, connection: Connection, build_seconds: float, library: Path) -> None:
        self._connection = connection
        self.build_seconds, self.library = build_seconds, library

    def answers(self, k: int) -> Labels:
        """Return the rows found for every query, shape (queries, k)."""
        self._connection.send(("answers", k))
        found: Labels = self._connection.recv()
        return found

    def turn(self, k: int, seconds: float, processors: set[int]) -> Turn:
        """Search for so many seconds, on these processors."""
        self._connection.send(("turn", k, seconds, processors))
        return Turn(*self._connection.recv())


@contextmanager
def bare(vectors: Vectors, queries: Vectors, parameters: IndexParameters, threads: int) -> Iterator[BareIndex]:
    """Yield the process with its index built; it ends with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, vectors, queries, parameters, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        yield BareIndex(ours, *ours.recv())
    finally:
        ours.close()
        process.join(ENDED_SECONDS)
        if process.is_alive():
            process.kill()


def built(vectors: Vectors, parameters: IndexParameters, threads: int) -> hnswlib.Index:
    """Build a graph of unit vectors, shape (rows, dims)."""
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(len(vectors), M=parameters.m, ef_construction=parameters.ef_construction)
    index.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
    return index


def _serve(
    connection: Connection, vectors: Vectors, queries: Vectors, parameters: IndexParameters, threads: int
) -> None:
    started = time.perf_counter()
    index = built(vectors, parameters, threads)
    connection.send((time.perf_counter() - started, Path(hnswlib.__file__)))
    index.set_ef(parameters.ef_search)
    index.set_num_threads(1)
    while True:
        try:
            what, *arguments = connection.recv()
        except EOFError:
            return
        if what == "answers":
            connection.send(np.stack([index.knn_query(query, k=arguments[0])[0][0] for query in queries]))
        else:
            connection.send(_turn(index, queries, *arguments))


def _turn(index: hnswlib.Index, queries: Vectors, k: int, seconds: float, processors: set[int]) -> tuple[int, float]:
    os.sched_setaffinity(0, processors)
    searches, started = 0, time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        index.knn_query(queries[searches % len(queries)], k=k)
        searches += 1
    return searches, now - started
