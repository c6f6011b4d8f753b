"""Tables of runs and their verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.judge.gate import Judgement
from loadtests.judge.tally import Tally
from vectorfleet.verdicts import Verdict

_COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNDECIDED: "yellow", Verdict.VOID: "magenta"}


def show_runs(runs: Sequence[Tally], judgement: Judgement, console: Console) -> None:
    """Print a column per run, and the verdict with its sentences; the counts decide, percentiles are information."""
    console.print(runs_table(runs))
    colour = _COLOURS[judgement.verdict]
    console.print(f"[bold {colour}]{judgement.label}[/] (exit code {int(judgement.verdict.exit_code)})")
    for sentence in judgement.sentences:
        console.print(f"  {sentence}", markup=False, highlight=False)


def runs_table(runs: Sequence[Tally]) -> Table:
    """Return a table with a column per run and a row per figure."""
    table = Table("run", *(str(number) for number in range(1, len(runs) + 1)))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, cells in _rows(runs):
        table.add_row(Text(name), *cells)
    return table


def figures(run: Tally) -> list[tuple[str, str]]:
    """Return the figures of one run with their names."""
    return [(name, cells[0]) for name, cells in _rows([run])]


def _rows(runs: Sequence[Tally]) -> Iterator[tuple[str, list[str]]]:
    yield from ((name, [figure(run) for run in runs]) for name, figure in _FIGURES.items())
    for kind in dict.fromkeys(kind for run in runs for kind, _ in run.failures):
        yield kind, [f"{dict(run.failures).get(kind, 0):,}" for run in runs]


def _time(time_ms: float | None) -> str:
    return "none" if time_ms is None else f"{time_ms:.1f} ms"


_FIGURES: dict[str, Callable[[Tally], str]] = {
    "seed": lambda run: str(run.seed),
    "searches in the window": lambda run: f"{run.arrivals:,}",
    "slow": lambda run: f"{run.slow:,}",
    "over the alert level": lambda run: f"{run.over_alert:,}",
    "failed, timed out, unsent": lambda run: f"{run.failed:,} {run.timeouts:,} {run.unsent:,}",
    "partial answers, too few hits": lambda run: f"{run.partial:,} {run.short:,}",
    "errors of the generator": lambda run: f"{run.raised + run.writes_raised:,}",
    "sent late": lambda run: f"{run.late:,}",
    "P50 (information)": lambda run: _time(run.p50_ms),
    "P95 (information)": lambda run: _time(run.p95_ms),
    "P99 (information)": lambda run: _time(run.p99_ms),
    "P95 of the null endpoint": lambda run: _time(run.floor_p95_ms),
    "recall of timed answers": lambda run: "unknown" if run.recall is None else f"{run.recall:.3f}",
    "documents written": lambda run: f"{run.documents_written:,}",
    "writes failed": lambda run: f"{run.write_errors:,}",
}
