"""The guard of the runbooks' verbs: an error becomes one sentence with an exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click
from botocore.exceptions import BotoCoreError, ClientError

from infra.stack.outputs import StackError
from vectorfleet.refusal import Aborted, failing, refusing

P = ParamSpec("P")
R = TypeVar("R")


def says_errors(verb: Callable[P, R]) -> Callable[P, R]:
    """Turn an error of the outputs into a refusal, one of AWS into a failure, and an interrupt into ABORTED."""

    @functools.wraps(verb)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with refusing(StackError), failing(BotoCoreError, ClientError):
                return verb(*args, **kwargs)
        except (click.Abort, KeyboardInterrupt):
            raise Aborted from None

    return guarded
