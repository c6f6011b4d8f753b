"""Verbs that a page calls: how the fleet is, whether it heals, and the push when it does not."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from rich.table import Table

from infra.numbers import SHARD
from runbooks.alarms import AlarmView, ringing, see_alarms
from runbooks.cli.options import json_option, outputs_option, says_errors
from runbooks.drills.measure import Window, Yardstick
from runbooks.durations import DURATION, spoken
from runbooks.fleet import FIELDS, FleetView, LagView, connect, see, wait_ready
from runbooks.groups import CellView, launch, replace_instances, see_cells, unreplaced
from runbooks.observer import ObserverError
from runbooks.probe import Patience
from runbooks.probe import probe as probe_service
from runbooks.stack import StackError, read_stack
from runbooks.verdict import Verdict
from vectorfleet.output import console, print_json, table

GROUP_FIELDS = ("unreplaced",)
ALARM_FIELDS = ("ringing",)

shard_option = click.option("--shard", type=SHARD, multiple=True, help="Only this shard; repeatable.")


@click.command()
@outputs_option
@click.option("--field", type=click.Choice(FIELDS), help="Print this one value and nothing else.")
@json_option
@says_errors
def fleet(outputs: Path, field: str | None, as_json: bool) -> None:
    """Show shards, replicas and indexers as the routers see them."""
    stack = read_stack(outputs)
    found = see(connect(stack.endpoint), stack.shards)
    if field:
        click.echo(found.field(field))
    elif as_json:
        print_json(found.to_json())
    else:
        console().print(_fleet_table(found))
        click.echo(f"Shards without a ready replica: {found.field('shards_missing')}")
        click.echo(f"Shards whose replicas differ: {found.field('diverged')}")
        for replica in found.stale:
            click.echo(f"{replica.instance} stands still: {replica.stale}")
        click.echo(_lag_line(found))
        for lag in found.behind:
            click.echo(_behind_line(lag, found.head))
        click.echo(f"Indexer: {_indexer_line(found)}")
        for indexer in found.indexers or ():
            if indexer.trouble:
                click.echo(f"{indexer.instance} says: {indexer.trouble}")
        if found.misconfigured:
            click.echo(f"The configuration is refused: {found.misconfigured}")


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


def _indexer_line(found: FleetView) -> str:
    missing = {"scheduled": "scheduled, none runs", "absent": "none runs", "unknown": "the routers don't say"}
    return missing.get(found.indexer, found.indexer)


def _fleet_table(found: FleetView) -> Table:
    shown = table("shard", "replica", "instance", "zone", "ready", "position", "rows", "restored from")
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
@shard_option
@click.option("--field", type=click.Choice(GROUP_FIELDS), help="Print this one value and nothing else.")
@json_option
@says_errors
def groups(outputs: Path, shard: tuple[int, ...], field: str | None, as_json: bool) -> None:
    """Show each replica's Auto Scaling group, and why a launch failed."""
    cells = see_cells(read_stack(outputs), list(shard) or None)
    if field:
        click.echo(" ".join(unreplaced(cells)) or "none")
    elif as_json:
        print_json([cell.to_json() for cell in cells])
    else:
        console().print(_groups_table(cells))


def _groups_table(cells: list[CellView]) -> Table:
    shown = table("shard", "replica", "group", "desired", "instances", "last failure")
    for view in cells:
        running = "\n".join(f"{instance.identity} {instance.state}" for instance in view.instances) or "[red]none[/]"
        cell = view.cell
        shown.add_row(str(cell.shard), cell.replica, cell.group, str(view.desired), running, view.last_failure)
    return shown


@click.command()
@outputs_option
@click.option("--page", default="", help="Only alarms that lead to this page, as RB-06.")
@click.option("--field", type=click.Choice(ALARM_FIELDS), help="Print this one value and nothing else.")
@json_option
@says_errors
def alarms(outputs: Path, page: str, field: str | None, as_json: bool) -> None:
    """List the alarms with their pages, those that ring first."""
    found = see_alarms(read_stack(outputs), page)
    if field:
        click.echo(" ".join(ringing(found)) or "none")
    elif as_json:
        print_json([view.to_json() for view in found])
    else:
        console().print(_alarms_table(found))


def _alarms_table(found: list[AlarmView]) -> Table:
    shown = table("alarm", "page", "state", "since", "reason")
    for view in found:
        state = f"[red]{view.state}[/]" if view.rings else view.state
        shown.add_row(view.name, view.page, state, view.since, view.reason)
    return shown


@click.command(name="launch")
@outputs_option
@shard_option
@says_errors
def launch_verb(outputs: Path, shard: tuple[int, ...]) -> None:
    """Launch an instance in every group in which none runs."""
    stack = read_stack(outputs)
    asked = launch(stack, see_cells(stack, list(shard) or None))
    click.echo(f"Asked to launch: {' '.join(asked)}" if asked else "Every group has an instance; nothing was asked.")


@click.command()
@outputs_option
@click.option("--role", type=click.Choice(["indexer"]), required=True, help="Whose instances.")
@says_errors
def replace(outputs: Path, role: str) -> None:
    """Replace the instances of a role that keeps no data.

    Its group launches others in their place.
    """
    stack = read_stack(outputs)
    if not stack.indexer_group:
        raise StackError(f"{outputs} lacks the stack output indexer_group; is it from an older deployment?")
    ended = replace_instances(stack, stack.indexer_group)
    said = f"Asked to end: {' '.join(ended)}" if ended else f"No instance of the {role} runs, so there is none to end."
    click.echo(f"{said} The group {stack.indexer_group} launches as many as it is set to.")


@click.command()
@outputs_option
@click.option("--shard-ready", is_flag=True, required=True, help="Wait until every shard has ready replicas.")
@click.option("--replicas", type=click.IntRange(1, 100), default=1, show_default=True, help="Ready replicas per shard.")
@click.option("--within", "within_seconds", type=DURATION, default="10m", show_default=True, help="Give up after this.")
@says_errors
def wait(outputs: Path, shard_ready: bool, replicas: int, within_seconds: float) -> None:
    """Wait until every shard is ready, and print each change."""
    assert shard_ready
    stack = read_stack(outputs)
    news = _News()
    if wait_ready(connect(stack.endpoint), stack.shards, replicas, within_seconds, news.hear):
        click.echo(f"Every shard has {replicas} ready.")
        return
    click.echo(f"Still not after {spoken(within_seconds)}: {news.last}", err=True)
    sys.exit(Verdict.FAIL.exit_code)


class _News:
    """Prints a line only when something changed."""

    def __init__(self) -> None:
        self.last = ""
        self._began = time.monotonic()

    def hear(self, found: FleetView | None) -> None:
        line = "the fleet does not answer" if found is None else self._line(found)
        if line != self.last:
            self.last = line
            click.echo(f"{time.monotonic() - self._began:6.1f} s  {line}")

    @staticmethod
    def _line(found: FleetView) -> str:
        ready = [f"{r.shard}{r.replica} from {r.restored_from or 'unknown'}" for r in found.replicas if r.ready]
        return f"missing: {found.field('shards_missing')}; ready: {', '.join(ready) or 'none'}"


@click.command()
@outputs_option
@click.option(
    "--window", "window_seconds", type=DURATION, default="60s", show_default=True, help="How long it has to be good."
)
@click.option("--interval", "interval_seconds", type=DURATION, default="0.25s", show_default=True)
@click.option(
    "--within", "within_seconds", type=DURATION, default="3m", show_default=True, help="For one good window to end."
)
@click.option(
    "--first-answer", "plant_seconds", type=DURATION, default="30s", show_default=True, help="For the first answer."
)
@json_option
@says_errors
def probe(
    outputs: Path,
    window_seconds: float,
    interval_seconds: float,
    within_seconds: float,
    plant_seconds: float,
    as_json: bool,
) -> None:
    """Search and write until the service is good for a whole window.

    Good: answers are complete, right and fast, and writes are taken.

    Writes a few documents named vectorfleet/canary/probe-… and deletes them again.
    """
    stack = read_stack(outputs)
    yardstick = Yardstick(window_seconds, interval_seconds)
    try:
        patience = Patience(plant_seconds=plant_seconds, within_seconds=within_seconds)
        window = probe_service(stack.endpoint, yardstick, patience)
    except ObserverError as error:
        _say_probe(None, str(error), as_json)
        sys.exit(Verdict.FAIL.exit_code)
    _say_probe(window, window.reason, as_json)
    sys.exit(Verdict.FAIL.exit_code if window.reason else 0)


def _say_probe(window: Window | None, reason: str, as_json: bool) -> None:
    verdict = Verdict.FAIL if reason else Verdict.PASS
    counts = {
        "searches": window.searches if window else 0,
        "writes": window.writes if window else 0,
        "errors": window.errors if window else 0,
        "partial": window.partial if window else 0,
        "slow": window.slow if window else 0,
    }
    if as_json:
        print_json({"verdict": verdict.value, "reason": reason, **counts}, indent=None)
        return
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    if reason:
        click.echo(reason)
    click.echo(verdict.value)
