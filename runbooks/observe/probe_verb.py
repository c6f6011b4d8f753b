"""The verb that probes the service."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from infra.stack.outputs import read_fleet
from runbooks.durations import DURATION
from runbooks.guard import says_errors
from runbooks.observe.freshness import MOST_WRITES, Freshness, Writes, measure_freshness
from runbooks.observe.observer import ObserverError
from runbooks.observe.probe import Patience
from runbooks.observe.probe import probe as probe_service
from runbooks.observe.windows import Window, Yardstick
from vectorfleet.options import json_option, outputs_option, slot_option
from vectorfleet.output import print_json
from vectorfleet.verdicts import Verdict


@click.command()
@outputs_option
@slot_option
@click.option(
    "--window", "window_seconds", type=DURATION, default="60s", show_default=True, help="Length of the good window."
)
@click.option("--interval", "interval_seconds", type=DURATION, default="0.25s", show_default=True)
@click.option(
    "--within",
    "within_seconds",
    type=DURATION,
    default="3m",
    show_default=True,
    help="For one good window to end, or one write to be found.",
)
@click.option(
    "--first-answer", "plant_seconds", type=DURATION, default="30s", show_default=True, help="For the first answer."
)
@click.option(
    "--freshness",
    "writes",
    type=click.IntRange(1, MOST_WRITES),
    help="Time this many writes instead, one each interval, until a search finds them.",
)
@click.option(
    "--beside",
    type=click.IntRange(0, 100_000),
    default=0,
    show_default=True,
    help="Documents to write meanwhile, in batches of 100; with --freshness.",
)
@json_option
@says_errors
def probe(
    outputs: Path,
    slot: str,
    window_seconds: float,
    interval_seconds: float,
    within_seconds: float,
    plant_seconds: float,
    writes: int | None,
    beside: int,
    as_json: bool,
) -> None:
    """Search and write until the service is good for a whole window.

    Good: answers are complete, right and fast, and writes are taken.

    With --freshness it times each write until a search finds it, for --within at most.

    Writes documents named vectorfleet/canary/probe-… and deletes them again.
    """
    stack = read_fleet(outputs)
    if writes is not None:
        found = measure_freshness(stack.endpoint, Writes(writes, beside, interval_seconds, within_seconds))
        _print_freshness(found, as_json)
        sys.exit(0 if found.found == found.writes else Verdict.FAIL.exit_code)
    yardstick = Yardstick(window_seconds, interval_seconds)
    patience = Patience(plant_seconds=plant_seconds, within_seconds=within_seconds)
    try:
        window = probe_service(stack.endpoint, yardstick, patience, slot)
    except ObserverError as error:
        window = Window(0.0, 0, 0, 0, 0, 0, str(error))
    _print(window, as_json)
    sys.exit(Verdict.FAIL.exit_code if window.reason else 0)


def _print(window: Window, as_json: bool) -> None:
    verdict = Verdict.FAIL if window.reason else Verdict.PASS
    counts = {name: getattr(window, name) for name in ("searches", "writes", "errors", "partial", "slow")}
    if as_json:
        print_json({"verdict": verdict.value, "reason": window.reason, **counts}, indent=None)
        return
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    if window.reason:
        click.echo(window.reason)
    click.echo(verdict.value)


def _print_freshness(found: Freshness, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found), indent=None)
        return
    click.echo(f"{found.found} of {found.writes} writes found")
    if found.found:
        click.echo(
            f"median {found.median_seconds:.2f} s, P95 {found.p95_seconds:.2f} s, longest {found.longest_seconds:.2f} s"
        )
