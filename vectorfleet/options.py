"""Options that verbs of several parts have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vectorfleet.slots import SLOTS

OUTPUTS_VARIABLE = "VECTORFLEET_OUTPUTS"
DEFAULT_OUTPUTS = Path(".rehearsal/outputs.json")

outputs_option = click.option(
    "--outputs",
    envvar=OUTPUTS_VARIABLE,
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_OUTPUTS,
    show_default=True,
    help=f"Stack outputs, from `pulumi stack output --json`; also {OUTPUTS_VARIABLE}.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
SLOT = click.Choice(("", *SLOTS))
SLOT_VARIABLE = "VECTORFLEET_SLOT"


def _slot_option(says: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--slot`, which a page's commands find in the environment."""
    return click.option(
        "--slot",
        envvar=SLOT_VARIABLE,
        type=SLOT,
        default="",
        metavar="|".join(SLOTS),
        help=f"{says} Also {SLOT_VARIABLE}.",
    )


slot_option = _slot_option("Ask this slot, whatever its weight is; by default the weights choose.")
stack_slot_option = _slot_option("The slot of the stack; by default the only one, or the one with all the weight.")
