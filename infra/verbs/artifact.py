"""What instances on AWS install."""

from __future__ import annotations

import json

import click

from infra.artifact import PROJECT_ROOT
from infra.verbs.refusal import Refusal


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a sentence.")
def artifact(as_json: bool) -> None:
    """Build the wheelhouse that instances on AWS install: dist/wheelhouse-<sha256>.zip."""
    from infra import wheelhouse

    try:
        made = wheelhouse.build(PROJECT_ROOT, lambda line: click.echo(line, err=True))
    except wheelhouse.REFUSALS as error:
        raise Refusal(str(error)) from None
    if as_json:
        click.echo(json.dumps({**made.to_json(), "path": str(made.path)}, indent=2))
        return
    click.echo(f"{made.path}: {len(made.wheels)} wheels, {made.size_bytes / 1e6:,.0f} MB, for {made.level}")
