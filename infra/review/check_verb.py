"""The verb `check`."""

from __future__ import annotations

import logging
import sys

import click

from infra.configuration.stack_settings import ConfigError
from infra.planning.plan import PlanError
from vectorfleet.exit_codes import ExitCode
from vectorfleet.output import print_json
from vectorfleet.refusal import refusing


@click.command()
@click.option("--stack", required=True, help="The stack whose configuration to use.")
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")
def check(stack: str, as_json: bool) -> None:
    """Review the resources that a stack would create, by the rules.

    The exit code is 1 unless every finding is acknowledged.
    """
    from infra.review.rules import acknowledgements, report
    from infra.review.rules.review import review

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with refusing(ConfigError, PlanError):
        made = review(stack, acknowledgements.ACKNOWLEDGEMENTS)
    if as_json:
        print_json(report.as_json(made), indent=1)
    else:
        report.show(made)
    sys.exit(ExitCode.PASS if made.is_clean else ExitCode.FAIL)
