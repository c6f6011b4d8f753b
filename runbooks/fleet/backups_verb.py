"""The verb for snapshots: list, make and verify them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from infra.stack.outputs import read_stack
from runbooks.durations import DURATION, spoken
from runbooks.fleet.backups import FIELDS, Backup, Backups, see_backups, take, verify
from runbooks.guard import says_errors
from service.client import Client
from vectorfleet.options import json_option, outputs_option, stack_slot_option
from vectorfleet.output import console, print_json, table
from vectorfleet.verdicts import Verdict

# A listing reads several objects of each shard.
TIMEOUT_SECONDS = 30.0


@click.command()
@outputs_option
@stack_slot_option
@click.option("--now", is_flag=True, help="Make a snapshot of every shard first, and wait for it.")
@click.option("--verify", "verified", is_flag=True, help="Verify every byte of them, and wait for the verdicts.")
@click.option(
    "--limit", type=click.IntRange(1, 100), default=1, show_default=True, help="Newest snapshots of each shard."
)
@click.option(
    "--within", "within_seconds", type=DURATION, default="30m", show_default=True, help="Give up each wait after this."
)
@click.option("--field", type=click.Choice(FIELDS), help="Print this one value and nothing else.")
@json_option
@says_errors
def backups(
    outputs: Path,
    slot: str,
    now: bool,
    verified: bool,
    limit: int,
    within_seconds: float,
    field: str | None,
    as_json: bool,
) -> None:
    """List the newest snapshots of each shard; make or verify them first.

    Each has its position, age, how far it was verified, and why it was refused.

    --now and --verify need a key of role admin. Exit code 1: one was refused, or time was up.
    """
    stack = read_stack(outputs, slot=slot)
    client = Client(stack.endpoint, timeout_seconds=TIMEOUT_SECONDS, slot=stack.slot)
    waits: list[tuple[bool, Callable[[Client, int, float], Backups | None]]] = [(now, take), (verified, verify)]
    for wanted, wait in waits:
        if wanted and wait(client, limit, within_seconds) is None:
            click.echo(f"Still not after {spoken(within_seconds)}; the logs of nodes and routers say why.", err=True)
            sys.exit(Verdict.FAIL.exit_code)
    found = see_backups(client, limit)
    _show(found, field, as_json)
    if found.refused and field is None:
        sys.exit(Verdict.FAIL.exit_code)


def _show(found: Backups, field: str | None, as_json: bool) -> None:
    if field:
        click.echo(found.field(field))
        return
    if as_json:
        print_json(asdict(found))
        return
    listed = table("shard", "snapshot", "age", "position", "rows", "MB", "level", "verified", "refused")
    for one in found.newest:
        listed.add_row(str(one.shard), one.name, _age(one), *_figures(one))
    console().print(listed)
    for shard, count in sorted(found.lacking.items()):
        click.echo(f"Shard {shard}: {count} writes are in no snapshot; the log has them.")


def _age(one: Backup) -> str:
    return spoken(max(0.0, time.time() - one.created_ms / 1000)) if one.created_ms else "-"


def _figures(one: Backup) -> tuple[str, ...]:
    when = f"{datetime.fromtimestamp(one.verified_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ} {one.verified_by}".strip()
    megabytes = f"{one.size_bytes / 1e6:,.1f}"
    return str(one.position), f"{one.rows:,}", megabytes, one.level, when, one.refused or "-"
