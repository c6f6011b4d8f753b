"""The verb `graph`."""

from __future__ import annotations

import logging

import click

from infra.configuration.stack_settings import ConfigError
from infra.planning.plan import PlanError
from vectorfleet.output import print_json
from vectorfleet.refusal import refusing


@click.command()
@click.option("--stack", required=True, help="The stack whose configuration to use.")
def graph(stack: str) -> None:
    """Print the resources that a stack would create, as JSON.

    Each is {type, name, inputs}, with the inputs as the engine sees them.
    """
    from infra.review.graph import graph as recorded

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with refusing(ConfigError, PlanError):
        resources = recorded(stack).resources
    rows = [{"type": item.type, "name": item.name, "inputs": item.inputs} for item in resources if item.custom]
    print_json(rows, indent=1, sort_keys=True)
