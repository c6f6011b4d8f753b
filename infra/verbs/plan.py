"""What a fleet would look like, before anything is created."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from infra import cost
from infra.capacity import read_capacity
from infra.config import ConfigError, settings_from
from infra.consistency import LEAST_QUERIES, MOST_QUERIES, MOST_VECTORS
from infra.numbers import Number
from infra.plan import Plan, PlanError
from infra.sizing import INDEX_TYPES, IndexType
from infra.stack import own_values, stack_config
from infra.workload import plan_for
from vectorfleet.output import print_json
from vectorfleet.refusal import refusing

DEFAULT_STACK_VALUES = {"fleet": "plan", "amiId": "ami-00000000", "zones": '["a", "b", "c"]'}
# Vectors of any dimensions, wherever they come from.
ANY_MODEL: dict[str, object] = {"provider": "given", "model": "any", "version": "1"}


@click.command()
@click.option("--vectors", type=click.IntRange(1, MOST_VECTORS), help="How many vectors.")
@click.option("--dims", type=click.IntRange(2, 16_384), help="Dimensions of a vector.")
@click.option("--queries", type=Number(LEAST_QUERIES, MOST_QUERIES), help="Peak queries per second.  [default: 100]")
@click.option(
    "--recovery",
    type=click.IntRange(10, 86_400),
    help="Seconds in which a lost replica is back.  [default: the stack's, 900]",
)
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
    recovery: int | None,
    index: IndexType | None,
    capacity: Path | None,
    stack: str | None,
    as_json: bool,
) -> None:
    """Size a fleet: shards, replicas, machines, memory, recovery, monthly cost."""
    given = {"vectors": vectors, "dims": dims, "peakQueriesPerSecond": queries}
    overrides = {key: str(value) for key, value in given.items() if value is not None}
    made = _plan(overrides, stack, recovery, index, capacity)
    if as_json:
        print_json(cost.described(made))
        return
    from infra.tables import show_plan

    show_plan(made)


def _plan(
    overrides: dict[str, str], stack: str | None, recovery: int | None, index: IndexType | None, capacity: Path | None
) -> Plan:
    with refusing(ConfigError, PlanError):
        measured = read_capacity(capacity) if capacity else {}
        values = (_defaults(overrides) if stack is None else own_values(stack_config(stack))) | measured | overrides
        settings = settings_from(values | _embedding(values, overrides) | _objectives(values, recovery))
        return plan_for(settings, index, dict.fromkeys(measured, f"measured, {capacity}"))


def _embedding(values: Mapping[str, str], overrides: Mapping[str, str]) -> dict[str, str]:
    """Nothing where the stack's own model stands; overridden dimensions are planned as if its model gave them."""
    own = _object(values, "embedding")
    if "dims" not in overrides or own is None:
        return {}
    if own.get("provider", "wordllama") == "wordllama":
        own = dict(ANY_MODEL)
    return {"embedding": json.dumps({**own, "dims": int(overrides["dims"])})}


def _objectives(values: Mapping[str, str], recovery: int | None) -> dict[str, str]:
    own = _object(values, "objectives")
    if recovery is None or own is None:
        return {}
    return {"objectives": json.dumps({**own, "recoveryTimeSeconds": recovery})}


def _object(values: Mapping[str, str], key: str) -> dict[str, object] | None:
    """The object under a key, empty where there is none; None for anything else, which settings refuse."""
    try:
        found = json.loads(values.get(key, "{}"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _defaults(overrides: dict[str, str]) -> dict[str, str]:
    missing = [f"--{name}" for name in ("vectors", "dims") if name not in overrides]
    if missing:
        raise ConfigError(f"Give {' and '.join(missing)}, or --stack NAME to take the numbers of a stack.")
    return {**DEFAULT_STACK_VALUES, "peakQueriesPerSecond": "100"}
