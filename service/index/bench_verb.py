"""The verb `bench-index`: the table of index types with measured figures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from infra.facts.index_parameters import BOUNDS, DEFAULTS
from service.index import bench
from service.index.metric import METRICS, Name
from service.storage.builds import IndexParameters
from vectorfleet.number_types import Number
from vectorfleet.output import print_json

MIB = 1 << 20
LEAST_ROWS = 100
HEAD = ("type", "recall", "commonly", "queries/s", "spread", "build s", "private MiB", "mapped MiB")
WIDTHS = (18, 8, 10, 11, 14, 9, 13, 12)
Command = Callable[..., Any]


def _parameter(name: str, text: str) -> Callable[[Command], Command]:
    """Return the option of an index parameter, within the range of a slot's build."""
    return _option(name.replace("_", "-"), click.IntRange(*BOUNDS[name]), DEFAULTS[name], text)


def _option(name: str, type_: click.ParamType[Any], default: object, text: str) -> Callable[[Command], Command]:
    return click.option(f"--{name}", type=type_, default=default, show_default=True, help=text)


@click.command("bench-index")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A .npy file of vectors, shape (rows, dims); `vectorfleet bench vectors` writes one of real text.",
)
@_option("rows", click.IntRange(1_000, 100_000_000), 50_000, "Rows to generate without --data.")
@_option("dims", click.IntRange(2, 4_096), 256, "Dimensions of generated rows.")
@_option("queries", click.IntRange(10, 10_000), 500, "Rows held out as queries.")
@_option("k", click.IntRange(1, 100), 10, "Rows per answer.")
@_option("rounds", click.IntRange(1, 50), 5, "Rounds per type.")
@_option("seconds", Number(0.1, 60), 1.0, "Length of a round.")
@_option("metric", click.Choice(list(METRICS)), "cosine", "Metric of nearness.")
@_option("threads", click.IntRange(1, 64), 1, "Threads to build with.")
@_parameter("m", "HNSW: links per row.")
@_parameter("ef_construction", "HNSW: candidates while building.")
@_parameter("ef_search", "HNSW: candidates while searching.")
@_parameter("lists", "IVF, PQ: lists; 0 fits them to the rows.")
@_parameter("probes", "IVF, PQ: lists probed; 0 fits them to the rows.")
@_parameter("code_dims", "PQ: dimensions per byte.")
@_parameter("rescored", "PQ: candidates scored again per answer; 0 for none.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
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
        setup = bench.BenchSetup(file, queries, k, rounds, seconds, threads, metric)
        measured = bench.measure(setup, bench.contenders(parameters), lambda line: click.echo(line, err=True))
    if as_json:
        print_json(bench.to_json(setup, shape[0] - queries, shape[1], measured))
        return
    click.echo(f"{shape[0] - queries:,} vectors of {shape[1]} dimensions, {queries} queries, k = {k}, {metric}")
    for row in (HEAD, *map(_row, measured)):
        click.echo("".join(f"{cell:<{WIDTHS[0]}}" if not i else f"{cell:>{WIDTHS[i]}}" for i, cell in enumerate(row)))


def _row(one: bench.Measurement) -> tuple[str, ...]:
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
        raise click.UsageError(
            f"{file} is not a .npy file of numbers: {error}. Give one with floats of shape (rows, dims)."
        ) from None
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) < queries + LEAST_ROWS:
        raise click.UsageError(
            f"{file} holds {array.dtype} of shape {array.shape}; give floats of shape (rows, dims) with at least "
            f"{queries + LEAST_ROWS} rows for {queries} queries"
        )
    return int(array.shape[0]), int(array.shape[1])
