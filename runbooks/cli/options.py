"""Options that several verbs have, and the errors that each of them may end with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from botocore.exceptions import BotoCoreError, ClientError

from runbooks.faults.fault import FaultError
from runbooks.faults.target import RemoteTargetError
from runbooks.fleet import FleetError
from runbooks.jsonlines import DamagedFileError
from runbooks.runner.blocks import PageError
from runbooks.runner.journal import CannotResumeError
from runbooks.stack import DEFAULT_OUTPUTS, OUTPUTS_VARIABLE, StackError
from vectorfleet.refusal import Aborted, failing, refusing

P = ParamSpec("P")
R = TypeVar("R")

USER_ERRORS = (StackError, PageError, RemoteTargetError, FaultError, CannotResumeError, DamagedFileError)
FLEET_ERRORS = (FleetError, BotoCoreError, ClientError)


def says_errors(verb: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors of user, fleet and AWS into one sentence and its exit code; an interrupt is ABORTED."""

    @functools.wraps(verb)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with refusing(*USER_ERRORS), failing(*FLEET_ERRORS):
                return verb(*args, **kwargs)
        except (click.Abort, KeyboardInterrupt):
            raise Aborted from None

    return guarded


outputs_option = click.option(
    "--outputs",
    envvar=OUTPUTS_VARIABLE,
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_OUTPUTS,
    show_default=True,
    help=f"The stack's outputs as JSON; also {OUTPUTS_VARIABLE}.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")
