"""Recall, speed, build time and memory of the four index types, each in a process of its own.

Builds run one after another. Then all types take turns with the queries, so other load on the machine affects each
alike. Every speed has its recall beside it.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from service.index import structures
from service.index.ann import Ann
from service.index.flat import Flat
from service.index.metric import METRICS, Metric, Name
from service.index.part import Labels, Vectors
from service.storage.builds import IndexParameters

CLUSTERS = 200
RANK = 32


@dataclass(frozen=True)
class Contender:
    """A row of the table: an index type with its parameters, and the recall it is commonly said to have."""

    name: str
    parameters: IndexParameters
    said: str


@dataclass(frozen=True)
class Measurement:
    """One contender's figures.

    `private_bytes` is the memory that its process took. `mapped_bytes` are the pages of the stored vectors that it
    touched, which the system can take back. `queries_per_second` is the median of the rounds, one query at a time in
    one thread.
    """

    name: str
    said: str
    recall: float
    queries_per_second: float
    slowest: float
    fastest: float
    build_seconds: float
    file_bytes: int
    private_bytes: int
    mapped_bytes: int


@dataclass(frozen=True)
class BenchSetup:
    """The setup: the vectors of `file`, of which `queries` are held out as queries."""

    file: Path
    queries: int
    k: int
    rounds: int
    round_seconds: float
    threads: int
    metric: Name = "cosine"


def contenders(parameters: IndexParameters) -> list[Contender]:
    """Return the four types, and PQ by its codes alone, which is the usual meaning of PQ."""
    of = msgspec.structs.replace
    return [
        Contender("Flat", of(parameters, type="flat"), "100 %"),
        Contender("HNSW", of(parameters, type="hnsw"), "95–99 %"),
        Contender("IVF", of(parameters, type="ivf"), "90–98 %"),
        Contender("PQ, codes alone", of(parameters, type="pq", rescored=0), "85–95 %"),
        Contender("PQ, scored again", of(parameters, type="pq"), "85–95 %"),
    ]


def clustered(rows: int, dims: int, seed: int = 1) -> Vectors:
    """Make unit vectors in uneven clusters, each flat in most directions, as embeddings are; shape (rows, dims)."""
    random = np.random.default_rng(seed)
    rank = min(RANK, dims)
    centres = random.normal(size=(CLUSTERS, dims)).astype(np.float32)
    spread = (random.normal(size=(CLUSTERS, rank, dims)) * 0.25).astype(np.float32)
    cluster = random.choice(CLUSTERS, rows, p=random.dirichlet(np.ones(CLUSTERS)))
    made = centres[cluster] + 0.035 * random.normal(size=(rows, dims)).astype(np.float32)
    for one in range(CLUSTERS):
        mine = cluster == one
        made[mine] += random.normal(size=(int(mine.sum()), rank)).astype(np.float32) @ spread[one]
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def measure(setup: BenchSetup, entrants: Sequence[Contender], say: Callable[[str], None]) -> list[Measurement]:
    """Build each contender, then query all of them in turns; `say` gets a line for each step."""
    vectors, queries = split(setup)
    truth = _truth(vectors, queries, setup.k, METRICS[setup.metric])
    with tempfile.TemporaryDirectory(prefix="bench-index-") as folder, ExitStack() as processes:
        built = [_built(setup, one, Path(folder) / str(number), say) for number, one in enumerate(entrants)]
        pairs = zip(entrants, built, strict=True)
        standing = [processes.enter_context(_process(setup, one, path)) for one, (path, _) in pairs]
        say("collecting each type's answers")
        answers = [process.submit(_answers).result() for process in standing]
        resident = [process.submit(_resident).result() for process in standing]
        rounds = []
        for number in range(setup.rounds):
            say(f"round {number + 1} of {setup.rounds}")
            rounds.append([process.submit(_speed).result() for process in standing])
        return [
            Measurement(
                name=one.name,
                said=one.said,
                recall=recall_of(answers[number], truth),
                queries_per_second=median(speeds[number] for speeds in rounds),
                slowest=min(speeds[number] for speeds in rounds),
                fastest=max(speeds[number] for speeds in rounds),
                build_seconds=built[number][1],
                file_bytes=built[number][0].stat().st_size if built[number][0].exists() else 0,
                private_bytes=resident[number][0],
                mapped_bytes=resident[number][1],
            )
            for number, one in enumerate(entrants)
        ]


def split(setup: BenchSetup) -> tuple[Vectors, Vectors]:
    """Return vectors to search and vectors to search with, always the same for a file, of unit length for cosine."""
    everything = np.load(setup.file, mmap_mode="r")
    order = np.random.default_rng(0).permutation(len(everything))
    asked, rest = order[: setup.queries], np.sort(order[setup.queries :])
    scaled = [np.asarray(everything[chosen], np.float32) for chosen in (rest, asked)]
    if METRICS[setup.metric].normal:
        scaled = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in scaled]
    return scaled[0], scaled[1]


def recall_of(answers: Labels, truth: Labels) -> float:
    """Return the mean share of the true rows that an answer has; both have shape (queries, k)."""
    return float(np.mean([len(np.intersect1d(a, t)) / len(t) for a, t in zip(answers, truth, strict=True)]))


def _truth(vectors: Vectors, queries: Vectors, k: int, metric: Metric) -> Labels:
    exact = Flat(vectors, metric)
    return np.stack([exact.search(query, k).rows for query in queries])


def _process(setup: BenchSetup, one: Contender, path: Path) -> ProcessPoolExecutor:
    """Return an executor of one process, which holds what `_load` loads."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=_load, initargs=(setup, one, path))


def _built(setup: BenchSetup, one: Contender, path: Path, say: Callable[[str], None]) -> tuple[Path, float]:
    """Build and save in a process that has ended afterwards; return the path and the seconds it took."""
    say(f"building {one.name}")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as builder:
        return path, builder.submit(_build, setup, one, path).result()


def _build(setup: BenchSetup, one: Contender, path: Path) -> float:
    vectors, _ = split(setup)
    started = time.perf_counter()
    made = structures.build(vectors, one.parameters, setup.threads)
    seconds = time.perf_counter() - started
    made.save(path)
    np.save(path.with_suffix(".npy"), vectors)
    return seconds


class _Loaded:
    """The one contender that a process holds."""

    setup: BenchSetup
    # Kept, since freed memory that the index takes again would not be counted.
    vectors: Vectors
    queries: Vectors
    index: Ann
    before: tuple[int, int]


def _load(setup: BenchSetup, one: Contender, path: Path) -> None:
    _Loaded.setup = setup
    _Loaded.vectors, _Loaded.queries = split(setup)
    _Loaded.before = resident_bytes()
    vectors = np.load(path.with_suffix(".npy"), mmap_mode="r")
    _Loaded.index = structures.load(path if path.exists() else None, vectors, one.parameters)


def _answers() -> Labels:
    k = _Loaded.setup.k
    return np.stack([_padded(_Loaded.index.search(query, k).rows, k) for query in _Loaded.queries])


def _resident() -> list[int]:
    return [now - then for now, then in zip(resident_bytes(), _Loaded.before, strict=True)]


def _padded(rows: Labels, k: int) -> Labels:
    return np.concatenate([rows, np.full(k - len(rows), -1)])


def _speed() -> float:
    """Return queries per second, one at a time."""
    asked, started, queries = 0, time.perf_counter(), _Loaded.queries
    while (seconds := time.perf_counter() - started) < _Loaded.setup.round_seconds:
        _Loaded.index.search(queries[asked % len(queries)], _Loaded.setup.k)
        asked += 1
    return asked / seconds


def resident_bytes() -> tuple[int, int]:
    """Return this process's memory now: private, and mapped from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    private, mapped = (int(found[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return private, mapped


def to_json(setup: BenchSetup, rows: int, dims: int, measured: Sequence[Measurement]) -> dict[str, Any]:
    asked = {name: value for name, value in asdict(setup).items() if name != "file"}
    return {"rows": rows, "dims": dims, **asked, "types": [asdict(one) for one in measured]}
