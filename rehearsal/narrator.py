"""What a rehearsal tells the person in front of the terminal: headings, sentences, progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# done, total; a total of 0 is one that nobody knows yet.
Bar = Callable[[int, int], None]


class Narrator:
    """Writes to standard output; in a pipe, sentences without bars."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    def heading(self, number: int, of: int, title: str) -> None:
        """Begin a step."""
        self.console.print()
        self.console.rule(f"[bold]{number}/{of}  {title}", align="left")

    def say(self, sentence: str, style: str = "") -> None:
        """One sentence."""
        self.console.print(sentence, style=style, markup=False)

    def show(self, renderable: RenderableType) -> None:
        """A table."""
        self.console.print(renderable)

    @contextmanager
    def steps(self, what: str) -> Iterator[Bar]:
        """A bar for things that are counted."""
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total or None)

    @contextmanager
    def waiting(self, what: str) -> Iterator[Callable[[str], None]]:
        """A spinner for something that takes as long as it takes; call the result to change what it says."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda text: progress.update(task, description=text)
