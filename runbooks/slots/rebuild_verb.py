"""The verb `rebuild`: a slot gets a new build from the documents log, while it serves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from infra.stack.outputs import read_fleet
from runbooks.durations import DURATION, spoken
from runbooks.fleet.status import FleetError
from runbooks.guard import says_errors
from runbooks.slots.rebuilding import Rebuilding
from runbooks.slots.retiring import delete, remains, unfinished
from runbooks.slots.seen import refuse_unless_deployed
from service.storage.builds import Build
from service.storage.entry import Damaged
from service.storage.objects import StoreError
from vectorfleet.options import json_option, outputs_option
from vectorfleet.output import counting, print_json
from vectorfleet.refusal import Failure, failing
from vectorfleet.slots import SLOTS
from vectorfleet.waiting import until

POLL_SECONDS = 1.0


@click.command()
@outputs_option
@click.argument("slot", type=click.Choice(SLOTS))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--within", type=DURATION, default="6h", show_default=True, help="Longest wait.")
@json_option
@says_errors
def rebuild(outputs: Path, slot: str, yes: bool, within: float, as_json: bool) -> None:
    """Rebuild SLOT from the documents log, while it serves.

    The slot's indexer fills a new build by the same recipe. Nodes take it over one by one, and the old build is
    deleted. Call it when shard logs or snapshots are lost or wrong. Called again, it goes on. Exit code 1: time was up.
    """
    fleet = read_fleet(outputs)
    refuse_unless_deployed(fleet, slot)
    started = time.monotonic()
    with failing(StoreError, Damaged):
        rebuilding = Rebuilding(fleet, slot)
        served = rebuilding.served()
        effort = rebuilding.effort(served)
        click.echo(
            f"Slot {slot}, build {served.id}: {effort.head:,} positions are read, {effort.rows:,} chunks indexed; "
            f"at least {effort.model_calls:,} of them ask the model",
            err=as_json,
        )
        if not yes:
            click.confirm("Rebuild it?", abort=True, err=as_json)
        build = rebuilding.begin(served)
        _await(rebuilding, build, effort.head, within)
    found = remains(fleet, build.id, kept=build.id)
    with counting("objects of the old build", len(found.keys)) as progress:
        errors = delete(fleet, found, progress)
    if errors:
        raise Failure(unfinished(errors))
    _say(slot, build, effort.head, round(time.monotonic() - started, 1), as_json)


def _await(rebuilding: Rebuilding, build: Build, head: int, within: float) -> None:
    """Wait until the build serves, with progress. Raises Failure when the time is up."""
    shown = 0
    with counting("positions", head) as progress:

        def done() -> bool:
            nonlocal shown
            try:
                reached = min(head, rebuilding.position(build))
                progress(reached - shown)
                shown = reached
                return rebuilding.serves(build)
            except (StoreError, FleetError):
                return False

        if not until(done, within, POLL_SECONDS):
            raise Failure(
                f"Build {build.id} did not serve within {spoken(round(within))}; position {shown} of {head} is "
                "indexed. It goes on by itself; run the command again to wait for it."
            )


def _say(slot: str, build: Build, head: int, seconds: float, as_json: bool) -> None:
    facts: dict[str, Any] = {"slot": slot, "build": build.id, "position": head, "seconds": seconds}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"Slot {slot} serves build {build.id}, made from the documents log in {seconds:g} s.")
