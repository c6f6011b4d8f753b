"""The group of every command line: the one place where errors get their exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from vectorfleet.exit_codes import ExitCode


class CommandGroup(click.Group):
    """A group whose usage errors exit with 64, and which an interrupt ends with 130."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the group's own words."""
        with _exit_codes():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse and run the verb."""
        with _exit_codes():
            return super().invoke(ctx)


@contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        # click's own 2 means UNDECIDED here.
        error.show()
        raise click.exceptions.Exit(ExitCode.USAGE) from None
    except (click.Abort, EOFError, KeyboardInterrupt):
        # click's own 1 means FAIL here.
        click.echo("Aborted.", err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
