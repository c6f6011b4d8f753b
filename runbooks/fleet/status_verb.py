"""Verbs for the fleet's status: show it, and wait until every shard is ready."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from rich.table import Table

from infra.stack.outputs import read_fleet, read_stack
from runbooks.durations import DURATION, spoken
from runbooks.fleet.status import FIELDS, FleetView, LagView, connect, see, wait_ready
from runbooks.guard import says_errors
from vectorfleet.options import json_option, outputs_option, stack_slot_option
from vectorfleet.output import console, print_json, table
from vectorfleet.verdicts import Verdict


@click.command()
@outputs_option
@click.option("--field", type=click.Choice(tuple(FIELDS)), help="Print this one value and nothing else.")
@stack_slot_option
@json_option
@says_errors
def fleet(outputs: Path, field: str | None, slot: str, as_json: bool) -> None:
    """Show shards, replicas and indexers as the routers see them.

    Without --slot, --field and --json each slot of the stack is shown.
    """
    if field or as_json:
        found = _seen(outputs, slot)
        click.echo(found.field(field)) if field else print_json(found.to_json())
        return
    slots = [slot] if slot else read_fleet(outputs).slots
    for one in slots:
        found = _seen(outputs, one)
        console().print(_fleet_table(found, one if len(slots) > 1 else ""))
        for line in _lines(found):
            click.echo(line)


def _seen(outputs: Path, slot: str) -> FleetView:
    stack = read_stack(outputs, slot=slot)
    return see(connect(stack.endpoint, stack.slot), stack.shards)


def _lines(found: FleetView) -> list[str]:
    lines = [
        f"Shards without a ready replica: {found.field('shards_missing')}",
        f"Shards whose replicas differ: {found.field('diverged')}",
        *(f"{replica.instance} has stopped: {replica.stale}" for replica in found.stale),
        _lag_line(found),
        *(_behind_line(lag, found.head) for lag in found.behind),
        f"Indexer: {_indexer_state(found)}",
        *(f"{indexer.instance} reports: {indexer.trouble}" for indexer in found.indexers or () if indexer.trouble),
    ]
    return [*lines, f"The configuration is refused: {found.misconfigured}"] if found.misconfigured else lines


def _lag_line(found: FleetView) -> str:
    positions, seconds = found.field("lag_positions"), found.field("lag_seconds")
    until = f", which may have grown: {found.head_fault}" if found.head_fault else ""
    return f"Lag behind the documents log's head, position {found.head}{until}: {positions} positions, {seconds} s"


def _behind_line(lag: LagView, head: int) -> str:
    line = f"Shard {lag.shard} is {lag.state}: {lag.reason}"
    if lag.positions is None:
        return line
    line += f"; it lags by {lag.positions} positions, {lag.seconds:.0f} s"
    if lag.state != "indexing" or lag.position is None:
        return line
    eta = lag.eta_seconds
    left = "it comes no nearer to the head" if eta is None else f"about {spoken(round(eta))} left"
    return f"{line} ({lag.position / head:.0%}), {lag.positions_per_second:g} positions a second, {left}"


def _indexer_state(found: FleetView) -> str:
    words = {"scheduled": "scheduled, none runs", "absent": "none runs", "unknown": "the routers don't report it"}
    return words.get(found.indexer, found.indexer)


def _fleet_table(found: FleetView, slot: str) -> Table:
    shown = table(
        "shard",
        "replica",
        "instance",
        "zone",
        "ready",
        "position",
        "rows",
        "restored from",
        title=f"Slot {slot}" if slot else None,
    )
    for replica in found.replicas:
        ready = "[green]yes[/]" if replica.ready else "[red]no[/]"
        figures = (str(replica.position), str(replica.rows), replica.restored_from or "-")
        shown.add_row(str(replica.shard), replica.replica, replica.instance, replica.zone, ready, *figures)
    for indexer in found.indexers or ():
        ready = "[green]yes[/]" if indexer.state == "ready" else f"[red]{indexer.state}[/]"
        shown.add_row("-", "indexer", indexer.instance, indexer.zone, ready, str(indexer.position), "-", indexer.build)
    return shown


@click.command()
@outputs_option
@stack_slot_option
@click.option("--shard-ready", is_flag=True, required=True, help="Wait until every shard has ready replicas.")
@click.option("--replicas", type=click.IntRange(1, 100), default=1, show_default=True, help="Ready replicas per shard.")
@click.option("--within", "within_seconds", type=DURATION, default="10m", show_default=True, help="Give up after this.")
@says_errors
def wait(outputs: Path, slot: str, shard_ready: bool, replicas: int, within_seconds: float) -> None:
    """Wait until every shard is ready, and print each change."""
    assert shard_ready
    stack = read_stack(outputs, slot=slot)
    changes = _Changes()
    if wait_ready(connect(stack.endpoint, stack.slot), stack.shards, replicas, within_seconds, changes.print):
        click.echo(f"Every shard has {replicas} ready.")
        return
    click.echo(f"Still not after {spoken(within_seconds)}: {changes.last}", err=True)
    sys.exit(Verdict.FAIL.exit_code)


class _Changes:
    """Lines about the fleet, each printed only when it differs from the last."""

    def __init__(self) -> None:
        self.last = ""
        self._began = time.monotonic()

    def print(self, found: FleetView | None) -> None:
        line = "the fleet does not answer" if found is None else self._line(found)
        if line != self.last:
            self.last = line
            click.echo(f"{time.monotonic() - self._began:6.1f} s  {line}")

    @staticmethod
    def _line(found: FleetView) -> str:
        ready = [f"{r.shard}{r.replica} from {r.restored_from or 'unknown'}" for r in found.replicas if r.ready]
        return f"missing: {found.field('shards_missing')}; ready: {', '.join(ready) or 'none'}"
