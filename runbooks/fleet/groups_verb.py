"""Verbs for the Auto Scaling groups: show them, launch what is missing, replace instances."""

from __future__ import annotations

from pathlib import Path

import click

from infra.stack.outputs import read_stack
from runbooks.fleet.groups import launch, replace_instances, see_cells, unreplaced
from runbooks.guard import says_errors
from vectorfleet.number_types import SHARD
from vectorfleet.options import json_option, outputs_option, stack_slot_option
from vectorfleet.output import console, print_json, table

shard_option = click.option("--shard", type=SHARD, multiple=True, help="Only this shard; repeatable.")


@click.command()
@outputs_option
@stack_slot_option
@shard_option
@click.option("--field", type=click.Choice(("unreplaced",)), help="Print this one value and nothing else.")
@json_option
@says_errors
def groups(outputs: Path, slot: str, shard: tuple[int, ...], field: str | None, as_json: bool) -> None:
    """Show each replica's Auto Scaling group, and why a launch failed."""
    cells = see_cells(read_stack(outputs, slot=slot), list(shard) or None)
    if field:
        click.echo(" ".join(unreplaced(cells)) or "none")
        return
    if as_json:
        print_json([cell.to_json() for cell in cells])
        return
    shown = table("shard", "replica", "group", "desired", "instances", "last failure")
    for view in cells:
        running = "\n".join(f"{instance.identity} {instance.state}" for instance in view.instances) or "[red]none[/]"
        cell = view.cell
        shown.add_row(str(cell.shard), cell.replica, cell.group, str(view.desired), running, view.last_failure)
    console().print(shown)


@click.command(name="launch")
@outputs_option
@stack_slot_option
@shard_option
@says_errors
def launch_verb(outputs: Path, slot: str, shard: tuple[int, ...]) -> None:
    """Launch an instance in every group in which none runs."""
    stack = read_stack(outputs, slot=slot)
    asked = launch(stack, see_cells(stack, list(shard) or None))
    click.echo(f"Launching in: {' '.join(asked)}" if asked else "Every group has an instance; nothing was launched.")


@click.command()
@outputs_option
@stack_slot_option
@click.option("--role", type=click.Choice(["indexer"]), required=True, help="The role of the instances.")
@says_errors
def replace(outputs: Path, slot: str, role: str) -> None:
    """Replace the instances of a role that keeps no data.

    Its group launches others in their place.
    """
    stack = read_stack(outputs, slot=slot)
    ended = replace_instances(stack, stack.indexer_group)
    said = f"Terminating: {' '.join(ended)}." if ended else f"No instance of the {role} runs, so none was terminated."
    click.echo(f"{said} The group {stack.indexer_group} launches as many as it is set to.")
