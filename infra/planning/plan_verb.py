"""The verb `plan`: the plan of a stack, or of numbers given as options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from infra.configuration.capacity_file import read_capacity
from infra.configuration.consistency import LEAST_QUERIES, MOST_QUERIES, MOST_VECTORS
from infra.configuration.stack_file import own_values, stack_config
from infra.configuration.stack_settings import ConfigError, settings_from
from infra.facts.index_parameters import INDEX_TYPES, IndexType
from infra.planning import cost
from infra.planning.plan import PlanError, plans_for
from vectorfleet.number_types import Number
from vectorfleet.output import print_json
from vectorfleet.refusal import refusing

WITHOUT_STACK = {
    "fleet": "plan",
    "amiId": "ami-00000000",
    "zones": '["a", "b", "c"]',
    "peakQueriesPerSecond": "100",
}
# The model of vectors whose dimensions are an option.
ANY_MODEL: dict[str, object] = {"provider": "given", "model": "any", "version": "1"}


@click.command()
@click.option("--vectors", type=click.IntRange(1, MOST_VECTORS), help="Number of vectors.")
@click.option("--dims", type=click.IntRange(2, 16_384), help="Dimensions of a vector.")
@click.option("--queries", type=Number(LEAST_QUERIES, MOST_QUERIES), help="Peak queries per second.  [default: 100]")
@click.option(
    "--recovery",
    type=click.IntRange(10, 86_400),
    help="Seconds in which a lost replica is back.  [default: the stack's, 900]",
)
@click.option("--index", type=click.Choice(INDEX_TYPES), help="Plan another index type.  [default: the stack's, hnsw]")
@click.option(
    "--capacity",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with measured capacityPerReplica and capacityPerRouter.",
)
@click.option(
    "--stack", help="Take the numbers of this stack; the other options override its keys, not those of slots."
)
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
    options = {"vectors": vectors, "dims": dims, "peakQueriesPerSecond": queries}
    given = {key: str(value) for key, value in options.items() if value is not None}
    with refusing(ConfigError, PlanError):
        measured = read_capacity(capacity) if capacity else {}
        values = _stack_values(stack, given) | measured | given
        settings = settings_from(values | _embedding(values, dims) | _objectives(values, recovery))
        made = plans_for(settings, index, dict.fromkeys(measured, f"measured, {capacity}"))
    if as_json:
        print_json(cost.described(made))
        return
    from infra.planning.plan_report import show_plans

    show_plans(made)


def _stack_values(stack: str | None, given: Mapping[str, str]) -> dict[str, str]:
    if stack is not None:
        return own_values(stack_config(stack))
    missing = [f"--{name}" for name in ("vectors", "dims") if name not in given]
    if missing:
        raise ConfigError(f"Give {' and '.join(missing)}, or --stack NAME to take the numbers of a stack.")
    return dict(WITHOUT_STACK)


def _embedding(values: Mapping[str, str], dims: int | None) -> dict[str, str]:
    """Return the stack's model as if it had the dimensions of the option; nothing without that option."""
    own = _object(values, "embedding")
    if dims is None or own is None:
        return {}
    if own.get("provider", "wordllama") == "wordllama":
        own = ANY_MODEL
    return {"embedding": json.dumps({**own, "dims": dims})}


def _objectives(values: Mapping[str, str], recovery: int | None) -> dict[str, str]:
    own = _object(values, "objectives")
    if recovery is None or own is None:
        return {}
    return {"objectives": json.dumps({**own, "recoveryTimeSeconds": recovery})}


def _object(values: Mapping[str, str], key: str) -> dict[str, object] | None:
    """Return the object under a key, empty if the key is missing; None for any other value, which settings refuse."""
    try:
        found = json.loads(values.get(key, "{}"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
