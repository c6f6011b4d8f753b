"""What a fleet would look like, before anything is created."""

from __future__ import annotations

import json
from pathlib import Path

import click

from infra.capacity import read_capacity
from infra.config import ConfigError, settings_from
from infra.plan import Plan, PlanError
from infra.sizing import INDEX_TYPES, IndexType
from infra.stack import own_values, stack_config
from infra.verbs.refusal import Refusal
from infra.workload import plan_for

DEFAULT_STACK_VALUES = {"fleet": "plan", "amiId": "ami-00000000", "zones": '["a", "b", "c"]'}


@click.command()
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
        # The plan is about sizes: any dimensions are planned as if some model elsewhere gave them.
        embedding = {"provider": "bedrock", "dims": values.get("dims")}
        return plan_for(settings_from(values | {"embedding": json.dumps(embedding)}), index)
    except (ConfigError, PlanError) as error:
        raise Refusal(str(error)) from None


def _defaults(overrides: dict[str, str]) -> dict[str, str]:
    missing = [f"--{name}" for name in ("vectors", "dims") if name not in overrides]
    if missing:
        raise ConfigError(f"Give {' and '.join(missing)}, or --stack NAME to take the numbers of a stack.")
    return {**DEFAULT_STACK_VALUES, "peakQueriesPerSecond": "100"}
