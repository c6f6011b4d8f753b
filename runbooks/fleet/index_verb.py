"""The verb that indexes now."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from infra.stack.outputs import read_stack
from runbooks.durations import spoken
from runbooks.fleet.batches import Batch, IndexerGroup, Progress
from runbooks.fleet.status import connect, see
from runbooks.guard import says_errors
from vectorfleet.number_types import WEEK_SECONDS
from vectorfleet.options import json_option, outputs_option
from vectorfleet.output import console, print_json
from vectorfleet.verdicts import Verdict


@click.command()
@outputs_option
@click.option("--no-wait", is_flag=True, help="Start the indexer and return; it ends after --timeout.")
@click.option(
    "--timeout",
    "within_seconds",
    type=WEEK_SECONDS,
    default=3600,
    show_default=True,
    help="Seconds to wait, and that the indexer may run for this call.",
)
@json_option
@says_errors
def now(outputs: Path, no_wait: bool, within_seconds: int, as_json: bool) -> None:
    """Index all writes now instead of at the next scheduled batch.

    Starts the indexer of a batch fleet, waits until searches reflect every write up to now, and ends the indexer unless
    the schedule's own batch runs or begins within five minutes. In a real-time fleet it only waits.
    """
    stack = read_stack(outputs)
    client = connect(stack.endpoint)
    group = IndexerGroup(stack.aws("autoscaling"), stack.indexer_group)
    with console(stderr=True).status("indexing") as shown:
        batch = Batch(
            lambda: see(client, stack.shards),
            group,
            within_seconds=within_seconds,
            say=lambda line: click.echo(line, err=True),
            show=lambda one: shown.update(_line(one)),
        )
        batch.start()
        in_time = batch.progress.covered or no_wait or batch.wait()
        became = batch.end() if batch.progress.covered else "runs"
    if as_json:
        print_json(_result(batch, became))
    elif batch.progress.covered:
        click.echo(
            f"Searches reflect position {batch.progress.head}: {batch.progress.rows:,} rows, {batch.seconds:.1f} s. "
            f"The indexer {became}."
        )
    if not in_time:
        click.echo(f"Still not after {spoken(within_seconds)}: {batch.trouble()}.", err=True)
        sys.exit(Verdict.FAIL.exit_code)


def _line(one: Progress) -> str:
    left = "" if one.eta_seconds is None else f", about {spoken(round(one.eta_seconds))} left"
    where = f"position {max(0, one.position)} of {one.head}, {one.positions_behind} behind"
    return f"{where}, {one.rows:,} rows{left}; indexer: {one.indexer}"


def _result(batch: Batch, became: str) -> dict[str, object]:
    one = batch.progress
    return {
        "covered": one.covered,
        "head": one.head,
        "position": max(0, one.position),
        "positions_behind": one.positions_behind,
        "rows": one.rows,
        "seconds": round(batch.seconds, 3),
        "indexer": became,
    }
