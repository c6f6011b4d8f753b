"""Errors of use, with an exit code that is never mistaken for a verdict."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from botocore.exceptions import BotoCoreError, ClientError

from runbooks.faults.fault import FaultError
from runbooks.faults.target import RemoteTargetError
from runbooks.fleet import FleetError
from runbooks.jsonlines import DamagedFileError
from runbooks.runner.blocks import PageError
from runbooks.runner.journal import CannotResumeError
from runbooks.stack import DEFAULT_OUTPUTS, OUTPUTS_VARIABLE, StackError
from runbooks.verdict import USAGE_EXIT_CODE, Verdict

P = ParamSpec("P")
R = TypeVar("R")

USER_ERRORS = (StackError, PageError, RemoteTargetError, FaultError, CannotResumeError, DamagedFileError)
FLEET_ERRORS = (FleetError, BotoCoreError, ClientError)


class Refusal(click.ClickException):
    """A sentence for the user instead of a traceback."""

    exit_code = USAGE_EXIT_CODE


class FleetRefusal(click.ClickException):
    """The fleet or AWS did not answer: a failure of what is looked at, not of the caller."""

    exit_code = Verdict.FAIL.exit_code


def says_errors(verb: Callable[P, R]) -> Callable[P, R]:
    """Turn what a user or a fleet can get wrong into one sentence and its exit code."""

    @functools.wraps(verb)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except USER_ERRORS as error:
            raise Refusal(str(error)) from None
        except FLEET_ERRORS as error:
            raise FleetRefusal(str(error)) from None

    return guarded


class VerdictGroup(click.Group):
    """A group whose usage errors exit with 64: click's own 2 means UNDECIDED here."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        if not extra.get("standalone_mode", True):
            return super().main(args, *more, **extra)
        try:
            code = super().main(args, *more, **{**extra, "standalone_mode": False})
        except click.Abort:
            click.echo("Aborted.", err=True)
            sys.exit(Verdict.ABORTED.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(USAGE_EXIT_CODE if isinstance(error, click.UsageError) else error.exit_code)
        sys.exit(code if isinstance(code, int) else 0)


outputs_option = click.option(
    "--outputs",
    envvar=OUTPUTS_VARIABLE,
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_OUTPUTS,
    show_default=True,
    help=f"The stack's outputs as JSON; also {OUTPUTS_VARIABLE}.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")
