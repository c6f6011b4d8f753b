"""
What the four index types do with given vectors: recall, speed, build time and memory, each in a process of its own.

Builds come one after another; then all of them stand side by side and are asked in turns, so that what else the machine
does hurts each alike. Every speed has its recall beside it.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
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
ENDED_SECONDS = 10.0


@dataclass(frozen=True)
class Contender:
    """A row of the table: an index type with its parameters, and the recall that is commonly said of it."""

    name: str
    parameters: IndexParameters
    said: str


@dataclass(frozen=True)
class Measured:
    """
    One contender's figures. `private_bytes` is the memory that its process took, `mapped_bytes` the pages of the stored
    vectors that it touched, which the system takes back when it needs them; `queries_per_second` is the median of the
    rounds, one query at a time in one thread.
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
class Question:
    """What is measured: the vectors of `file`, of which `queries` are held out to ask with."""

    file: Path
    queries: int
    k: int
    rounds: int
    round_seconds: float
    threads: int
    metric: Name = "cosine"


def contenders(parameters: IndexParameters) -> list[Contender]:
    """The four types, and PQ by its codes alone, which is what is usually meant by it."""
    of = msgspec.structs.replace
    return [
        Contender("Flat", of(parameters, type="flat"), "100 %"),
        Contender("HNSW", of(parameters, type="hnsw"), "95–99 %"),
        Contender("IVF", of(parameters, type="ivf"), "90–98 %"),
        Contender("PQ, codes alone", of(parameters, type="pq", rescored=0), "85–95 %"),
        Contender("PQ, scored again", of(parameters, type="pq"), "85–95 %"),
    ]


def clustered(rows: int, dims: int, seed: int = 1) -> Vectors:
    """Unit vectors in uneven clusters, each flat in most directions, as embeddings are; shape (rows, dims)."""
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


def measure(question: Question, entrants: Sequence[Contender], say: Callable[[str], None]) -> list[Measured]:
    """Build each, then ask all of them in turns; `say` gets a line for each step."""
    vectors, queries = split(question)
    truth = _truth(vectors, queries, question.k, METRICS[question.metric])
    with tempfile.TemporaryDirectory(prefix="bench-index-") as folder:
        built = [_built(question, one, Path(folder) / str(number), say) for number, one in enumerate(entrants)]
        with _standing(question, entrants, [path for path, _ in built]) as lines:
            say("asking each for its answers")
            answers = [_asked(line, "answers") for line in lines]
            resident = [_asked(line, "resident") for line in lines]
            rounds = []
            for number in range(question.rounds):
                say(f"round {number + 1} of {question.rounds}")
                rounds.append([_asked(line, "speed") for line in lines])
        return [
            Measured(
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


def split(question: Question) -> tuple[Vectors, Vectors]:
    """Vectors to search in and vectors to ask with, the same ones for the same file; both of length one for cosine."""
    everything = np.load(question.file, mmap_mode="r")
    order = np.random.default_rng(0).permutation(len(everything))
    asked, rest = order[: question.queries], np.sort(order[question.queries :])
    scaled = [np.asarray(everything[chosen], np.float32) for chosen in (rest, asked)]
    if METRICS[question.metric].normal:
        scaled = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in scaled]
    return scaled[0], scaled[1]


def recall_of(answers: Labels, truth: Labels) -> float:
    """The mean share of the true rows that an answer has; both of shape (queries, k)."""
    return float(np.mean([len(np.intersect1d(a, t)) / len(t) for a, t in zip(answers, truth, strict=True)]))


def _truth(vectors: Vectors, queries: Vectors, k: int, metric: Metric) -> Labels:
    exact = Flat(vectors, metric)
    return np.stack([exact.search(query, k).rows for query in queries])


def _asked(line: Connection, what: str) -> Any:
    line.send(what)
    return line.recv()


def _built(question: Question, one: Contender, path: Path, say: Callable[[str], None]) -> tuple[Path, float]:
    """Where it was saved and how long building took, in a process that is gone afterwards."""
    say(f"building {one.name}")
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    builder = spawn.Process(target=_build, args=(question, one, path, there), daemon=True)
    builder.start()
    there.close()
    seconds: float = here.recv()
    builder.join()
    return path, seconds


def _build(question: Question, one: Contender, path: Path, line: Connection) -> None:
    vectors, _ = split(question)
    started = time.perf_counter()
    made = structures.build(vectors, one.parameters, question.threads)
    seconds = time.perf_counter() - started
    made.save(path)
    np.save(path.with_suffix(".npy"), vectors)
    line.send(seconds)


@contextmanager
def _standing(question: Question, entrants: Sequence[Contender], paths: Sequence[Path]) -> Iterator[list[Connection]]:
    """A process for each, that answers what is asked over its line until the block ends."""
    spawn = multiprocessing.get_context("spawn")
    lines, servers = [], []
    for one, path in zip(entrants, paths, strict=True):
        here, there = spawn.Pipe()
        server = spawn.Process(target=_serve, args=(question, one, path, there), daemon=True)
        server.start()
        there.close()
        lines.append(here)
        servers.append(server)
    try:
        yield lines
    finally:
        for line, server in zip(lines, servers, strict=True):
            line.close()
            server.join(ENDED_SECONDS)
            server.kill()


def _serve(question: Question, one: Contender, path: Path, line: Connection) -> None:
    _, queries = split(question)
    before = resident_bytes()
    vectors = np.load(path.with_suffix(".npy"), mmap_mode="r")
    index = structures.load(path if path.exists() else None, vectors, one.parameters)
    answer: dict[str, Callable[[], Any]] = {
        "answers": lambda: np.stack([_padded(index.search(query, question.k).rows, question.k) for query in queries]),
        "resident": lambda: [now - then for now, then in zip(resident_bytes(), before, strict=True)],
        "speed": lambda: _speed(index, queries, question),
    }
    try:
        while True:
            line.send(answer[line.recv()]())
    except EOFError:
        return


def _padded(rows: Labels, k: int) -> Labels:
    return np.concatenate([rows, np.full(k - len(rows), -1)])


def _speed(index: Ann, queries: Vectors, question: Question) -> float:
    """Queries a second, one at a time."""
    asked, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < question.round_seconds:
        index.search(queries[asked % len(queries)], question.k)
        asked += 1
    return asked / seconds


def resident_bytes() -> tuple[int, int]:
    """What this process has in memory now: private, and mapped from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    private, mapped = (int(found[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return private, mapped


def to_json(question: Question, rows: int, dims: int, measured: Sequence[Measured]) -> dict[str, Any]:
    """Plain data."""
    asked = {name: value for name, value in asdict(question).items() if name != "file"}
    return {"rows": rows, "dims": dims, **asked, "types": [asdict(one) for one in measured]}
