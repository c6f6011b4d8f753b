"""Options that several verbs have."""

from __future__ import annotations

from pathlib import Path

import click

outputs_option = click.option(
    "--outputs",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file that `pulumi stack output --json` wrote.",
)
