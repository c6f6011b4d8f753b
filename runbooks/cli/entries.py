"""The verb that restores damaged log entries from their older versions."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from runbooks.cli.options import json_option, outputs_option, says_errors
from runbooks.fleet import connect, see
from runbooks.stack import read_stack
from runbooks.verdict import Verdict
from vectorfleet.output import print_json
from vectorfleet.refusal import Failure, Refusal


@click.command(name="restore-entry")
@outputs_option
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
@says_errors
def restore_entry(outputs: Path, dry_run: bool, as_json: bool) -> None:
    """Restore damaged or deleted log entries from their older versions.

    The newest whole version becomes the current one again.

    Finds the entries by itself: of shard logs from where a replica stands still, of the documents log behind what
    every replica has reached. Removes what lies over that version, by version id; nothing else is changed. Exits with
    1 where an entry has no whole version left.
    """
    # Arrow takes a second to import, which no other verb should wait for.
    from runbooks.entries import repairs
    from service.storage.entry import Damaged
    from service.storage.objects import StoreError

    stack = read_stack(outputs)
    if not stack.documents_bucket or not stack.index_bucket:
        raise Refusal(f"{outputs} lacks the stack outputs documents_bucket, index_bucket; write them anew")
    found = []
    try:
        for repair in repairs(stack, see(connect(stack.endpoint), stack.shards), dry_run=dry_run):
            found.append(repair)
            if not as_json:
                click.echo(repair.render("would remove" if dry_run else "removed"))
    except (StoreError, Damaged) as error:
        raise Failure(str(error)) from None
    if as_json:
        print_json([repair.to_json() for repair in found])
    elif not found:
        click.echo("No entry was changed of those that a replica or the indexer may wait for.")
    sys.exit(Verdict.FAIL.exit_code if any(repair.problem for repair in found) else 0)
