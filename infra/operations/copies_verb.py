"""The verb `copies`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from infra.operations.copies import Copies, CopiesError, to_json
from infra.operations.deployed import standing
from vectorfleet.exit_codes import ExitCode
from vectorfleet.number_types import WEEK_SECONDS
from vectorfleet.options import outputs_option
from vectorfleet.output import print_json


@click.command()
@outputs_option
@click.option("--within", type=WEEK_SECONDS, default=3600, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="The result as plain JSON; progress goes to standard error.")
def copies(outputs: Path, within: int, as_json: bool) -> None:
    """Copy to the vault what replication missed, and wait for the end.

    S3 copies objects that are older than the vault, and those that failed.
    """
    with standing(outputs, CopiesError) as stack:
        jobs = Copies(stack).run(lambda line: click.echo(line, err=as_json), within_seconds=within)
    if as_json:
        print_json(to_json(jobs))
    else:
        click.echo("\n".join(job.render() for job in jobs))
    if not all(job.is_well for job in jobs):
        sys.exit(ExitCode.FAIL)
