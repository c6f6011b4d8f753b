"""The terminal output of a rehearsal: headings, sentences, tables, progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# done, total; a total of 0 is unknown.
Bar = Callable[[int, int], None]


class Narrator:
    """A writer to standard output; in a pipe it writes sentences without bars."""

    def __init__(self, console: Console | None = None, headings: int = 0) -> None:
        self.console = console or Console(highlight=False)
        self._headings, self._heading = headings, 0

    def heading(self, title: str) -> None:
        self._heading += 1
        self.console.print()
        self.console.rule(f"[bold]{self._heading}/{self._headings}  {title}", align="left")

    def say(self, sentence: str, style: str = "") -> None:
        self.console.print(sentence, style=style, markup=False)

    def show(self, renderable: RenderableType) -> None:
        self.console.print(renderable)

    @contextmanager
    def steps(self, what: str) -> Iterator[Bar]:
        """Show a bar; call the result with the done and the total count."""
        with self._bar() as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total or None)

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar; call the result with the number of things that were done since the last call."""
        with self._bar() as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.advance(task, count)

    def _bar(self) -> Progress:
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self.console, transient=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show a spinner; call the result to change its text."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda text: progress.update(task, description=text)
