"""`python -m service bench-index`: the table of index types, with measured numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from infra.numbers import Number
from service.index import bench
from service.index.metric import METRICS, Name
from service.storage.builds import INDEX_RANGES, IndexParameters
from vectorfleet.output import print_json

MIB = 1 << 20
LEAST_ROWS = 100
HEAD = ("type", "recall", "commonly", "queries/s", "spread", "build s", "private MiB", "mapped MiB")
WIDTHS = (18, 8, 10, 11, 14, 9, 13, 12)
Command = Callable[..., Any]


def _parameter(name: str, default: int, text: str) -> Callable[[Command], Command]:
    """The option for a parameter of an index, within what a slot's build may have."""
    allowed = click.IntRange(*INDEX_RANGES[name])
    return click.option(f"--{name.replace('_', '-')}", type=allowed, default=default, show_default=True, help=text)


@click.command("bench-index")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A .npy file of vectors, shape (rows, dims); `python -m loadtests vectors` writes one of real text.",
)
@click.option(
    "--rows", type=click.IntRange(1_000, 100_000_000), default=50_000, show_default=True, help="Rows made up without."
)
@click.option("--dims", type=click.IntRange(2, 4_096), default=256, show_default=True, help="Their dimensions.")
@click.option(
    "--queries", type=click.IntRange(10, 10_000), default=500, show_default=True, help="Held out to ask with."
)
@click.option("--k", type=click.IntRange(1, 100), default=10, show_default=True, help="Rows asked for.")
@click.option("--rounds", type=click.IntRange(1, 50), default=5, show_default=True, help="Turns of each.")
@click.option("--seconds", type=Number(0.1, 60), default=1.0, show_default=True, help="Of a turn.")
@click.option("--metric", type=click.Choice(list(METRICS)), default="cosine", show_default=True, help="What is near.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="To build with.")
@_parameter("m", 16, "HNSW: links of a row.")
@_parameter("ef_construction", 200, "HNSW.")
@_parameter("ef_search", 100, "HNSW.")
@_parameter("lists", 0, "IVF, PQ: lists; 0 for what fits the rows.")
@_parameter("probes", 0, "IVF, PQ: lists looked through; 0 as above.")
@_parameter("code_dims", 4, "PQ: dimensions in a byte.")
@_parameter("rescored", 8, "PQ: candidates per answer.")
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")
def bench_index(
    data: Path | None,
    rows: int,
    dims: int,
    queries: int,
    k: int,
    rounds: int,
    seconds: float,
    metric: Name,
    threads: int,
    as_json: bool,
    **given: int,
) -> None:
    """Measure recall, speed, build time and memory of the four index types."""
    parameters = IndexParameters("hnsw", metric, **given)
    with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
        file = data or _made_up(Path(folder) / "vectors.npy", rows, dims)
        shape = _shape(file, queries)
        question = bench.Question(file, queries, k, rounds, seconds, threads, metric)
        measured = bench.measure(question, bench.contenders(parameters), lambda line: click.echo(line, err=True))
    if as_json:
        print_json(bench.to_json(question, shape[0] - queries, shape[1], measured))
        return
    click.echo(f"{shape[0] - queries:,} vectors of {shape[1]} dimensions, {queries} queries, k = {k}, {metric}")
    for row in (HEAD, *map(_row, measured)):
        click.echo("".join(f"{cell:<{WIDTHS[0]}}" if not i else f"{cell:>{WIDTHS[i]}}" for i, cell in enumerate(row)))


def _row(one: bench.Measured) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.recall:.3f}",
        one.said,
        f"{one.queries_per_second:,.0f}",
        f"{one.slowest:,.0f}–{one.fastest:,.0f}",
        f"{one.build_seconds:.1f}",
        f"{one.private_bytes / MIB:,.0f}",
        f"{one.mapped_bytes / MIB:,.0f}",
    )


def _made_up(path: Path, rows: int, dims: int) -> Path:
    np.save(path, bench.clustered(rows, dims))
    return path


def _shape(file: Path, queries: int) -> tuple[int, int]:
    try:
        array = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} is no .npy file of numbers: {error}") from None
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) < queries + LEAST_ROWS:
        raise click.UsageError(
            f"{file} holds {array.dtype} of shape {array.shape}; it must be floats of shape (rows, dims) with at least "
            f"{queries + LEAST_ROWS} rows for {queries} queries"
        )
    return int(array.shape[0]), int(array.shape[1])
