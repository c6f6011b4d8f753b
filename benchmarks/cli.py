"""Verbs that measure the service on this machine, as ratios that hold on other machines too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np

# As in the service's own processes: one product at a time, since BLAS threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks import bulk as bulk_ingest
from benchmarks import growth as growing
from benchmarks import hop as routers
from benchmarks import levels as instruction_sets
from benchmarks import peers as servers
from benchmarks import takeover
from benchmarks.measuring import K, Turns
from benchmarks.peer import PeerError, SearchLoad
from benchmarks.serving import Figures, Setting, measure
from infra.facts.index_parameters import BOUNDS
from service.index.bench import clustered
from service.index.part import Vectors
from service.storage.builds import IndexParameters
from vectorfleet.number_types import Number
from vectorfleet.output import print_json
from vectorfleet.refusal import failing

HEAD = ("", "recall", "searches/s", "of bare", "spread", "P50 ms", "P95 ms", "CPU µs")
NAME_WIDTH, WIDTH = 48, 12
ROWS, DIMS = click.IntRange(2_000, 100_000_000), click.IntRange(2, 4_096)
EF, ROUNDS = click.IntRange(*BOUNDS["ef_search"]), click.IntRange(1, 50)

Command = Callable[..., Any]
Option = Callable[[Command], Command]
# Vectors to hold, and so many others to search with.
Source = Callable[[int], tuple[Vectors, Vectors]]

PROGRAM = click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True)
# Not resolved: the link to an environment's Python says which environment it is.
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
PROGRAMS = click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True)

AS_JSON: Option = click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")


def from_vectors(command: Command) -> Command:
    """Give a command the options of its vectors, and `source` to take them from."""

    @click.option(
        "--data",
        type=FILE,
        help="A .npy file of vectors, shape (rows, dims); `vectorfleet bench vectors` writes one of real text.",
    )
    @click.option("--rows", type=ROWS, default=50_000, show_default=True, help="The most vectors to hold.")
    @click.option("--dims", type=DIMS, default=384, show_default=True, help="Dimensions of vectors without --data.")
    @wraps(command)
    def measured(data: Path | None, rows: int, dims: int, **others: Any) -> Any:
        return command(source=lambda queries: _vectors(data, rows, dims, queries), **others)

    return measured


def in_turns(rounds: int, seconds: float) -> Option:
    """Give a command the options --rounds and --seconds, as `turns`."""

    def decorated(command: Command) -> Command:
        @click.option("--rounds", type=ROUNDS, default=rounds, show_default=True, help="Turns of each contender.")
        @click.option("--seconds", type=Number(0.2, 60), default=seconds, show_default=True, help="Length of a turn.")
        @wraps(command)
        def measured(rounds: int, seconds: float, **others: Any) -> Any:
            return command(turns=Turns(rounds, seconds), **others)

        return measured

    return decorated


def graph(ef: int) -> IndexParameters:
    """Return the parameters of every graph here, searched with `ef`."""
    return IndexParameters("hnsw", "cosine", 16, 200, ef)


@click.command()
@from_vectors
@click.option("--ef", type=EF, multiple=True, default=(50, 200))
@click.option("--k", type=click.IntRange(1, 100), default=10, show_default=True, help="Rows of an answer.")
@click.option(
    "--queries", type=click.IntRange(10, 5_000), default=500, show_default=True, help="Vectors to search with."
)
@click.option("--connections", type=click.IntRange(1, 256), default=8, show_default=True, help="Requests at once.")
@in_turns(5, 2.0)
@AS_JSON
def serving(
    source: Source, ef: tuple[int, ...], k: int, queries: int, connections: int, turns: Turns, as_json: bool
) -> None:
    """Measure searches per second of a node and a router, beside bare hnswlib."""
    held, asked = source(queries)
    setting = Setting(k, connections, turns.rounds, turns.seconds, len(os.sched_getaffinity(0)))
    found = {one: measure(held, asked, graph(one), setting) for one in ef}
    if as_json:
        shape = {"rows": len(held), "dims": held.shape[1], "queries": len(asked), "k": k, "connections": connections}
        print_json(shape | {"ef": {one: [each.to_json() for each in found[one]] for one in ef}})
        return
    click.echo(f"{len(held):,} vectors of {held.shape[1]} dimensions, k = {k}, {connections} connections")
    for one, figures in found.items():
        click.echo(f"\nef {one}")
        _table(HEAD, map(_row, figures))


@click.command("take-over")
@from_vectors
@click.option("--rate", type=Number(1, 1_000), default=100.0, show_default=True, help="Searches a second.")
@click.option("--quiet", type=Number(5, 300), default=20.0, show_default=True, help="Seconds before it and after it.")
@AS_JSON
def take_over(source: Source, rate: float, quiet: float, as_json: bool) -> None:
    """Measure latencies while a fresh process takes over a new generation."""
    held, asked = source(500)
    found = takeover.measure(held, asked, graph(100), rate, quiet)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['rows']:,} vectors of {found['dims']} dimensions, {rate:g} searches a second")
    click.echo(f"{found['seconds']:g} s; at its end the old process may still answer")
    _table(("", "searches", "failed", "P50 ms", "P99 ms", "slowest"), _times(found))


@click.command()
@from_vectors
@AS_JSON
def bulk(source: Source, as_json: bool) -> None:
    """Measure writing all vectors at once, then a restore, beside bare hnswlib."""
    held, asked = source(200)
    found = bulk_ingest.measure(held, asked, graph(100))
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['rows']:,} vectors of {found['dims']} dimensions, {found['threads']} processors")
    click.echo(f"{'hnswlib alone':<{NAME_WIDTH}}{found['hnswlib_seconds']:>{WIDTH}} s")
    for name, step in found["steps"].items():
        click.echo(f"{name:<{NAME_WIDTH}}{step['seconds']:>{WIDTH}} s{step['of_bare']:>{WIDTH}} of that")
    click.echo(f"recall {found['recall']:.3f}")
    restore = found["restore"]
    read, load = restore["read_and_hash_seconds"], restore["load_seconds"]
    click.echo(f"restore: {restore['bytes'] / 1e6:,.0f} MB read and hashed in {read} s, then loaded in {load} s")
    click.echo(f"which is {restore['of_reading']} of the speed of reading and hashing")


@click.command()
@from_vectors
@click.option("--ef", type=EF, default=100, show_default=True)
@in_turns(3, 3.0)
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the curves into this file.")
@AS_JSON
def growth(source: Source, ef: int, turns: Turns, picture: Path | None, as_json: bool) -> None:
    """Measure searches as a fleet grows, in vectors, shards and callers."""
    held, asked = source(500)
    parameters = graph(ef)
    points = growing.measure(held, asked, parameters, turns)
    if picture is not None:
        growing.draw(points, picture)
    if as_json:
        print_json(growing.to_json(points))
        return
    click.echo(f"{held.shape[1]} dimensions, ef {ef}, k = {K}, through a router, JSON")
    head = ("vectors", "shards", "callers", "recall", "searches/s", "of bare", "P50 ms", "P95 ms", "nodes MiB")
    for name, curve in growing.curves(points).items():
        click.echo(f"\nover {name}")
        for row in (head, *map(_point, curve)):
            click.echo("".join(f"{cell:>{WIDTH}}" for cell in row))


@click.command()
@from_vectors
@click.option("--ef", type=EF, default=100, show_default=True)
@in_turns(5, 2.0)
@AS_JSON
def hop(source: Source, ef: int, turns: Turns, as_json: bool) -> None:
    """Measure what a router over two shards adds to a direct search."""
    held, asked = source(500)
    parameters = graph(ef)
    found = routers.measure(held, asked, parameters, turns)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['rows']:,} vectors of {found['dims']} dimensions in two shards, recall {found['recall']:.3f}")
    p95 = f"P95 {found['routed_p95_ms']:.2f} ms, directly {found['direct_p95_ms']:.2f} ms"
    click.echo(f"one caller: {p95}: {found['added_p95_ms']:.2f} ms added")
    rates = f"{found['routed_per_second']:,.0f} a second, one shard directly {found['direct_per_second']:,.0f}"
    spread = f"{found['least']:.2f}–{found['most']:.2f}"
    click.echo(f"{routers.FULL} callers: {rates}: {found['of_direct']:.2f} of that ({spread})")


def _point(one: growing.Point) -> tuple[str, ...]:
    rates = (f"{one.recall:.3f}", f"{one.per_second:,.0f}", f"{one.of_bare:.2f}")
    times = (f"{one.p50_ms:.1f}", f"{one.p95_ms:.1f}")
    return (f"{one.rows:,}", f"{one.shards}", f"{one.connections}", *rates, *times, f"{one.node_bytes >> 20:,}")


@click.command()
@from_vectors
@in_turns(7, 2.0)
@AS_JSON
def levels(source: Source, turns: Turns, as_json: bool) -> None:
    """Compare hnswlib compiled for this machine, the artifact and any x86-64."""
    held, asked = source(500)
    parameters = graph(100)
    with failing(instruction_sets.NotCompiled):
        found = instruction_sets.measure(held, asked, parameters, turns)
    if as_json:
        print_json({"rows": len(held), "dims": held.shape[1], "levels": found})
        return
    click.echo(f"{len(held):,} vectors of {held.shape[1]} dimensions, ef {parameters.ef_search}, one thread")
    head = ("compiled for", "recall", "searches/s", "of native", "spread", "build s", "of native")
    _table(head, map(_level, found))


def _level(one: dict[str, Any]) -> tuple[str, ...]:
    spread = f"{one['least']:.2f}–{one['most']:.2f}"
    build = (f"{one['build_seconds']}", f"{one['build_of_native']:.2f}")
    rate = (f"{one['searches_per_second']:,}", f"{one['of_native']:.2f}", spread)
    return (one["level"], f"{one['recall']:.3f}", *rate, *build)


@click.command()
@from_vectors
@click.option("--chroma", type=PROGRAM, help="Chroma's program, `chroma`.")
@click.option("--postgres", type=PROGRAMS, help="The folder of PostgreSQL's programs, with pgvector beside them.")
@click.option("--weaviate", type=PROGRAMS, help="The folder of `weaviate-server` and a `python` with weaviate-client.")
@click.option("--milvus", type=FILE, help="A Python that has milvus-lite and pymilvus.")
@click.option("--lancedb", type=FILE, help="A Python that has lancedb, which searches in its own process.")
@click.option("--ef", type=EF, default=100, show_default=True)
@click.option("--connections", type=click.IntRange(1, 256), default=8, show_default=True, help="Requests at once.")
@click.option("--shards", type=click.IntRange(1, 8), default=1, show_default=True, help="Shards of our fleet.")
@click.option("--rounds", type=ROUNDS, default=5, show_default=True, help="Turns of each contender.")
@click.option("--seconds", type=click.IntRange(1, 60), default=4, show_default=True, help="Length of a turn.")
@AS_JSON
def peers(
    source: Source,
    ef: int,
    connections: int,
    shards: int,
    rounds: int,
    seconds: int,
    as_json: bool,
    **programs: Path | None,
) -> None:
    """Compare searches per second with other servers and a library.

    All of those whose programs are given get the same vectors and graph parameters, in turns.
    """
    given = {name: path.absolute() for name, path in programs.items() if path is not None}
    if not given:
        raise click.UsageError(f"no peer is given; give one or more of {', '.join(f'--{name}' for name in programs)}")
    held, wanted = source(500)
    setting = servers.Setting(rounds, float(seconds), shards, given)
    asked = SearchLoad(wanted, 10, connections)
    with failing(PeerError):
        found = servers.measure(held, asked, graph(ef), setting)
    if as_json:
        shape = {"rows": len(held), "dims": held.shape[1], "ef": ef, "connections": connections, "shards": shards}
        print_json(shape | {"peers": found})
        return
    click.echo(f"{len(held):,} vectors of {held.shape[1]} dimensions, ef {ef}, {connections} connections")
    head = ("", "recall", "searches/s", "P95 ms", "ours times", "spread", "our P95 of")
    _table(head, map(_peer, found))


def _peer(one: dict[str, Any]) -> tuple[str, ...]:
    rates = (f"{one['recall']:.3f}", f"{one['per_second']:,}", f"{one['p95_ms']:.1f}")
    return (
        one["name"],
        *rates,
        f"{one['ours']:.2f}",
        f"{one['least']:.2f}–{one['most']:.2f}",
        f"{one['ours_p95']:.2f}",
    )


def _times(found: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(name, *map(str, found[name].values())) for name in ("outside", "during")]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    for first, *others in (head, *rows):
        click.echo(f"{first:<{NAME_WIDTH}}" + "".join(f"{cell:>{WIDTH}}" for cell in others))


def _vectors(data: Path | None, rows: int, dims: int, queries: int) -> tuple[Vectors, Vectors]:
    """Return unit vectors to hold, and others to search with."""
    given = clustered(rows + queries, dims) if data is None else np.load(data, mmap_mode="r")
    if given.ndim != 2 or len(given) < queries + 1_000:
        raise click.UsageError(f"{data} has shape {given.shape}; it must be (rows, dims) with {queries + 1_000} rows")
    order = np.random.default_rng(0).permutation(len(given))[: rows + queries]
    chosen = np.asarray(given[np.sort(order)], np.float32)[np.random.default_rng(1).permutation(len(order))]
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True)
    return np.ascontiguousarray(chosen[queries:]), np.ascontiguousarray(chosen[:queries])


def _row(one: Figures) -> tuple[str, ...]:
    plain = one.to_json()
    ratio = ("1", "")
    if one.ratios:
        ratio = (f"{plain['ratio']:.2f}", f"{plain['ratio_least']:.2f}–{plain['ratio_most']:.2f}")
    latency = tuple(f"{plain[name]:.2f}" if name in plain else "" for name in ("p50_ms", "p95_ms"))
    return (one.name, f"{one.recall:.3f}", f"{plain['per_second']:,.0f}", *ratio, *latency, f"{plain['cpu_us']:,.0f}")
