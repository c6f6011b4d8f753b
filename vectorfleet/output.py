"""Tables, JSON and progress bars, as every verb prints them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

# rich is not installed where only the service runs, and takes longer to import than help may take.
if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn
    from rich.table import Table

PIPE_WIDTH = 160


def print_json(value: object, **options: Any) -> None:
    """Print a value as JSON; options are those of `json.dumps`."""
    click.echo(json.dumps(value, **{"indent": 2, **options}))


def console(*, stderr: bool = False) -> Console:
    """Open a terminal, or a pipe wide enough for every id: rich's own 80 columns would break them."""
    from rich.console import Console

    terminal = Console(stderr=stderr)
    return terminal if terminal.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)


def table(*columns: str, title: str | None = None) -> Table:
    """Make a table that never cuts an id short, since the reader has to copy it."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE, title=title)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Make a bar, with count and time unless other columns are given, on standard error, so that --json stays clean."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    usual = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*(columns or usual), console=console(stderr=True))


@contextmanager
def counting(task: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the usual bar; the function yielded adds a count to it."""
    with progress_bar() as bar:
        number = bar.add_task(task, total=total)
        yield lambda count: bar.advance(number, count)
