"""What instances on AWS install."""

from __future__ import annotations

import click

from infra.artifact import PROJECT_ROOT
from vectorfleet.output import print_json
from vectorfleet.refusal import refusing


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a sentence.")
def artifact(as_json: bool) -> None:
    """Build the wheels that instances install, as one zip in dist/.

    The file is dist/wheelhouse-<sha256>.zip.
    """
    from infra import wheelhouse

    with refusing(*wheelhouse.REFUSALS):
        made = wheelhouse.build(PROJECT_ROOT, lambda line: click.echo(line, err=True))
    if as_json:
        print_json({**made.to_json(), "path": str(made.path)})
        return
    click.echo(f"{made.path}: {len(made.wheels)} wheels, {made.size_bytes / 1e6:,.0f} MB, for {made.level}")
