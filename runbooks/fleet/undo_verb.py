"""The verb that undoes a range of writes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from infra.stack.outputs import read_stack
from runbooks.durations import DURATION, spoken
from runbooks.fleet.status import FleetError, answered, see
from runbooks.guard import says_errors
from service.client import Client, ServiceError
from vectorfleet.options import json_option, outputs_option
from vectorfleet.output import console, print_json, table
from vectorfleet.refusal import Refusal
from vectorfleet.verdicts import Verdict
from vectorfleet.waiting import until

# A plan reads the range from S3, and blocks of sources of the whole log.
TIMEOUT_SECONDS = 300.0
POLL_SECONDS = 0.2
KINDS = {"restored": "come back", "replaced": "are as they were written before", "removed": "vanish"}


@click.command()
@outputs_option
@click.option("--from", "first", required=True, metavar="BOUND", help="First write: 42, 42.3 (item 3), or a time.")
@click.option("--to", "last", required=True, metavar="BOUND", help="Last write, included; as --from.")
@click.option("--only-deletes", is_flag=True, help="Undo deletions only.")
@click.option("--source-prefix", default="", help="Undo only writes of source_ids that begin so.")
@click.option("--collection", default="", help="Undo only writes of this collection; of all by default.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Undo without asking.")
@click.option(
    "--within", "within_seconds", type=DURATION, default="10m", show_default=True, help="Give up the wait after this."
)
@json_option
@says_errors
def undo(
    outputs: Path,
    first: str,
    last: str,
    only_deletes: bool,
    source_prefix: str,
    collection: str,
    dry_run: bool,
    yes: bool,
    within_seconds: float,
    as_json: bool,
) -> None:
    """Undo the writes of a range for ever; later writes stay.

    It shows the documents that come back, change and vanish, and asks. Then it waits until every shard has done it.

    It needs a key of role admin. Undoing the undo's own position brings the writes back. Exit code 1: time was up.
    """
    stack = read_stack(outputs)
    client = Client(stack.endpoint, timeout_seconds=TIMEOUT_SECONDS)
    limits: dict[str, Any] = {"only_deletes": only_deletes, "source_prefix": source_prefix, "collection": collection}
    plan = _asked(client, first, last, dry_run=True, **limits)
    if dry_run:
        _show(plan, as_json)
        return
    if not yes:
        _show(plan, as_json=False)
        click.confirm("Undo these writes?", abort=True, err=True)
    # Times were resolved once: the plan's places, and no others, are undone.
    begin, end = (f"{position}.{item}" for position, item in (plan["first"], plan["last"]))
    done = _asked(client, begin, end, request_id=uuid4().hex, **limits)
    started = time.monotonic()
    reached = until(lambda: _reached(client, stack.shards, done["position"]), within_seconds, POLL_SECONDS)
    seconds = time.monotonic() - started
    if as_json:
        print_json(done | {"done": reached, "seconds": round(seconds, 2)})
    elif reached:
        click.echo(f"Undone at position {done['position']}; every shard had it after {seconds:.1f} s.")
    if not reached:
        click.echo(
            f"Position {done['position']} undoes them, but not every shard had it after {spoken(seconds)}.", err=True
        )
        sys.exit(Verdict.FAIL.exit_code)


def _asked(client: Client, first: str, last: str, **options: Any) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        try:
            return client.undo(_bound(first), _bound(last), **options)
        except ServiceError as error:
            if error.status in (404, 409, 410, 422):
                raise Refusal(error.detail) from None
            raise

    return answered(ask)


def _bound(given: str) -> int | str:
    return int(given) if given.isdecimal() else given


def _reached(client: Client, shards: int, position: int) -> bool:
    try:
        return see(client, shards).position >= position
    except FleetError:
        return False


def _show(plan: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    terminal = console()
    if plan["around"]:
        times = table("position", "written at", "documents", title="Entries around the given times")
        for one in plan["around"]:
            times.add_row(str(one["position"]), one["written_at"], str(one["documents"]))
        terminal.print(times)
    for kind, title in KINDS.items():
        if plan[kind]["documents"]:
            terminal.print(_documents(plan[kind], f"{plan[kind]['count']} documents {title}"))
    first, last = plan["first"][0], plan["last"][0]
    click.echo(
        f"Positions {first} to {last}: {plan['writes']} writes, {plan['deletes']} of them deletions, of "
        f"{plan['source_ids']} source_ids."
    )
    if plan["voids"]:
        click.echo(f"This undoes earlier undos, at {', '.join(map(str, plan['voids']))}.")


def _documents(kind: Mapping[str, Any], title: str) -> Any:
    shown = table("source_id", "collection", "position now", "position then", title=title)
    for one in kind["documents"]:
        places = (str(one[name] or "-") for name in ("before", "after"))
        shown.add_row(one["source_id"], str(one["collection"]), *places)
    if kind["count"] > len(kind["documents"]):
        shown.add_row("…", "", "", "")
    return shown
