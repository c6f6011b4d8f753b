"""What a reviewer would say of the resources that a stack would create."""

from __future__ import annotations

import json
import logging
import sys

import click

from infra.config import ConfigError
from infra.plan import PlanError
from infra.verbs.refusal import FAILED_EXIT_CODE, Refusal


@click.command()
@click.option("--stack", required=True, help="The stack whose configuration to use.")
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")
def check(stack: str, as_json: bool) -> None:
    """Judge the registered resources by the rules; exits with 1 unless every finding is acknowledged."""
    from infra.rules import acknowledgements, report
    from infra.rules.review import review

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        made = review(stack, acknowledgements.ACKNOWLEDGEMENTS)
    except (ConfigError, PlanError) as error:
        raise Refusal(str(error)) from None
    if as_json:
        click.echo(json.dumps(report.as_json(made), indent=1))
    else:
        report.show(made)
    sys.exit(0 if made.is_clean else FAILED_EXIT_CODE)
