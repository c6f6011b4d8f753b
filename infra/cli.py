"""`python -m infra`: what a fleet would look like, before anything is created."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click

from infra.capacity import read_capacity
from infra.config import ConfigError, settings_from
from infra.plan import Plan, PlanError
from infra.sizing import INDEX_TYPES, IndexType
from infra.stack import own_values, stack_config
from infra.workload import plan_for

USAGE_EXIT_CODE = 64  # never one of the verdicts' codes
DEFAULT_STACK_VALUES = {"fleet": "plan", "amiId": "ami-00000000", "zones": '["a", "b", "c"]'}


class Refusal(click.ClickException):
    """A sentence for the user instead of a traceback."""

    exit_code = USAGE_EXIT_CODE  # also where the group is called from another program


@click.group()
def cli() -> None:
    """Plan a fleet from numbers, and show the resources that a stack would create."""


@cli.command()
@click.option("--vectors", type=click.IntRange(min=1), help="How many vectors.")
@click.option("--dims", type=click.IntRange(2, 16_384), help="Dimensions of a vector.")
@click.option("--queries", type=click.FloatRange(min=0, min_open=True), help="Peak queries per second.  [default: 100]")
@click.option(
    "--index", type=click.Choice(INDEX_TYPES), help="As if another index served.  [default: the stack's, hnsw]"
)
@click.option(
    "--capacity",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with measured capacityPerReplica and capacityPerRouter.",
)
@click.option("--stack", help="Take the numbers of this stack; the other options override them.")
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of tables.")
def plan(
    vectors: int | None,
    dims: int | None,
    queries: float | None,
    index: IndexType | None,
    capacity: Path | None,
    stack: str | None,
    as_json: bool,
) -> None:
    """Shards, replicas, instance type, memory, recovery, the loss of a zone, and monthly cost."""
    given = {"vectors": vectors, "dims": dims, "peakQueriesPerSecond": queries}
    made = _plan({key: str(value) for key, value in given.items() if value is not None}, stack, index, capacity)
    if as_json:
        click.echo(json.dumps(made.to_json(), indent=2))
        return
    from infra.tables import show_plan

    show_plan(made)


def _plan(overrides: dict[str, str], stack: str | None, index: IndexType | None, capacity: Path | None) -> Plan:
    try:
        measured = read_capacity(capacity) if capacity else {}
        values = (own_values(stack_config(stack)) if stack else _defaults(overrides)) | measured | overrides
        # The plan is about sizes: other dimensions are planned as if the model gave them.
        embedding = json.loads(values.get("embedding", "{}")) | {"dims": values.get("dims")}
        return plan_for(settings_from(values | {"embedding": json.dumps(embedding)}), index)
    except (ConfigError, PlanError) as error:
        raise Refusal(str(error)) from None


def _defaults(overrides: dict[str, str]) -> dict[str, str]:
    missing = [f"--{name}" for name in ("vectors", "dims") if name not in overrides]
    if missing:
        raise ConfigError(f"Give {' and '.join(missing)}, or --stack NAME to take the numbers of a stack.")
    return {**DEFAULT_STACK_VALUES, "peakQueriesPerSecond": "100"}


@cli.command()
@click.option("--stack", required=True, help="The stack whose configuration to use.")
def graph(stack: str) -> None:
    """Print the registered resources as JSON: [{type, name, inputs}], inputs as the engine sees them."""
    from infra.graph import graph as recorded

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        resources = recorded(stack).resources
    except (ConfigError, PlanError) as error:
        raise Refusal(str(error)) from None
    rows = [{"type": item.type, "name": item.name, "inputs": item.inputs} for item in resources if item.custom]
    click.echo(json.dumps(rows, indent=1, sort_keys=True))


def main() -> None:
    """Entry of `python -m infra`: as click would run it, but for the exit code of usage errors."""
    try:
        cli.main(prog_name="python -m infra", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE_EXIT_CODE)
    except click.Abort:
        sys.exit(130)
