"""What the vault has no copy of yet."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from infra.numbers import WEEK_SECONDS
from infra.operations.copies import Copies, CopiesError, to_json
from infra.verbs.options import outputs_option
from infra.verbs.standing import standing
from vectorfleet.exit_codes import ExitCode
from vectorfleet.output import print_json


@click.command()
@outputs_option
@click.option("--within", type=WEEK_SECONDS, default=3600, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="The result as plain JSON; progress goes to standard error.")
def copies(path: Path, within: int, as_json: bool) -> None:
    """Copy to the vault what replication missed, and wait for the end.

    S3 copies what was there before the vault, and what failed.
    """
    with standing(path, CopiesError) as outputs:
        jobs = Copies(outputs).run(lambda line: click.echo(line, err=as_json), within_seconds=within)
    if as_json:
        print_json(to_json(jobs))
    else:
        click.echo("\n".join(job.render() for job in jobs))
    if not all(job.is_well for job in jobs):
        sys.exit(ExitCode.FAIL)
