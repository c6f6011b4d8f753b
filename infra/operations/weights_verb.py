"""The verb `weights`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from infra.operations.deployed import standing
from infra.operations.weights import Listener, Slot, WeightsError, to_json
from vectorfleet.options import outputs_option
from vectorfleet.output import console, print_json, table
from vectorfleet.refusal import Refusal

WEIGHT = click.IntRange(0, 999)


@click.command()
@outputs_option
@click.option("--blue", type=WEIGHT, help="The weight of slot blue; goes with --green.")
@click.option("--green", type=WEIGHT, help="The weight of slot green; goes with --blue.")
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")
def weights(outputs: Path, blue: int | None, green: int | None, as_json: bool) -> None:
    """Show or move the share of traffic that each slot gets.

    A slot without healthy targets gets none.
    """
    if (blue is None) != (green is None):
        raise Refusal("Give both --blue and --green, or neither to see the weights as they are.")
    with standing(outputs, WeightsError) as stack:
        listener = Listener(stack)
        slots = listener.slots() if blue is None or green is None else listener.move({"blue": blue, "green": green})
    if as_json:
        print_json(to_json(slots))
    else:
        console().print(_table(slots))


def _table(slots: list[Slot]) -> Table:
    shown = table("slot", "weight", "healthy targets")
    for slot in slots:
        shown.add_row(slot.name, str(slot.weight), f"{slot.healthy} of {slot.targets}")
    return shown
