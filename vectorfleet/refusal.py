"""Errors that end a command with one sentence and an exit code, instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from vectorfleet.exit_codes import ExitCode


class Refusal(click.ClickException):
    """The call cannot be carried out as it was made; the user can mend it."""

    exit_code = ExitCode.USAGE


class Failure(click.ClickException):
    """The fleet, AWS or a process did not do what it was asked; the call was right."""

    exit_code = ExitCode.FAIL


class Aborted(click.ClickException):
    """The user ended a run that has the verdict ABORTED."""

    exit_code = ExitCode.ABORTED

    def __init__(self) -> None:
        super().__init__("Aborted.")

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the word alone: an end that was asked for is no error."""
        click.echo(self.message, file=file, err=file is None)


@contextmanager
def refusing(*mistakes: type[Exception]) -> Iterator[None]:
    """Turn these errors into refusals."""
    try:
        yield
    except mistakes as error:
        raise Refusal(str(error)) from None


@contextmanager
def failing(*faults: type[Exception]) -> Iterator[None]:
    """Turn these errors into failures."""
    try:
        yield
    except faults as error:
        raise Failure(str(error)) from None
