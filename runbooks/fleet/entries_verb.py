"""The verb that restores damaged log entries from their older versions."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from infra.stack.outputs import read_stack
from runbooks.fleet.status import connect, see
from runbooks.guard import says_errors
from vectorfleet.options import json_option, outputs_option, stack_slot_option
from vectorfleet.output import print_json
from vectorfleet.refusal import Failure, Refusal
from vectorfleet.verdicts import Verdict


@click.command(name="restore-entry")
@outputs_option
@stack_slot_option
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
@json_option
@says_errors
def restore_entry(outputs: Path, slot: str, dry_run: bool, as_json: bool) -> None:
    """Restore damaged or deleted log entries from their older versions.

    The newest whole version becomes the current one again.

    Finds the entries itself: in shard logs from where a replica has stopped, in the documents log behind the position
    that every replica has reached. Removes the versions above that one, by version id; nothing else is changed. Exits
    with 1 if an entry has no whole version left.
    """
    # Arrow takes a second to import, and no other verb needs it.
    from runbooks.fleet.entries import repairs
    from service.storage.entry import Damaged
    from service.storage.objects import StoreError

    stack = read_stack(outputs, slot=slot)
    if not stack.documents_bucket or not stack.index_bucket:
        raise Refusal(f"{outputs} lacks the stack outputs documents_bucket, index_bucket. Write the file again.")
    found = []
    try:
        for repair in repairs(stack, see(connect(stack.endpoint, stack.slot), stack.shards), dry_run=dry_run):
            found.append(repair)
            if not as_json:
                click.echo(repair.render("would remove" if dry_run else "removed"))
    except (StoreError, Damaged) as error:
        raise Failure(str(error)) from None
    if as_json:
        print_json([asdict(repair) for repair in found])
    elif not found:
        click.echo("No entry that a replica or the indexer may wait for was changed from outside.")
    sys.exit(Verdict.FAIL.exit_code if any(repair.problem for repair in found) else 0)
