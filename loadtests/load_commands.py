"""The verbs around load: truth, gate, judge."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from loadtests.commands import (
    collection_option,
    corpus_option,
    endpoint_of,
    endpoint_options,
    questions_option,
)
from loadtests.corpora import choice
from loadtests.corpora.corpus import CorpusError
from loadtests.evidence import EvidenceError
from loadtests.queries import save_queries
from loadtests.questions import GoldenSetError
from loadtests.run import RUNS, Address, GateResult, Plan, gate_runs, rejudge
from loadtests.run import Progress as GateProgress
from loadtests.settings import Settings, SettingsError, option_fields
from loadtests.table import show_runs
from loadtests.truth import TruthError, Vector, ask_truth, load_vectors
from service.client import Client, ServiceError, Unanswered
from vectorfleet.output import console, print_json, progress_bar
from vectorfleet.refusal import Refusal, refusing

_refusing = partial(
    refusing, CorpusError, EvidenceError, GoldenSetError, ServiceError, SettingsError, TruthError, Unanswered
)


def setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Every setting as an option, spelt as in the locustfile."""
    for item in reversed(list(option_fields())):
        name = f"--{item.name.replace('_', '-')}"
        kind, text = item.metadata["kind"] or str, item.metadata["help"]
        command = click.option(name, type=kind, default=item.default, show_default=bool(item.default), help=text)(
            command
        )
    return command


@click.command()
@endpoint_options
@collection_option
@corpus_option
@questions_option
@click.option(
    "--vectors", type=click.Path(path_type=Path), help="Ask these instead: FILE.npy, shape (questions, dims)."
)
@click.option("--prefix", help="How ids of documents begin that are there before the load; the corpus' own without it.")
@click.option("--k", type=click.IntRange(1, 100), default=10, show_default=True, help="Answers per question.")
@click.argument("file", type=click.Path(path_type=Path))
def truth_command(
    endpoint: str | None,
    outputs: Path,
    collection: str,
    corpus: str | None,
    questions: Path | None,
    vectors: Path | None,
    prefix: str | None,
    k: int,
    file: Path,
) -> None:
    """Ask by exact search and write FILE, by which a gate judges recall."""
    if vectors and (corpus or questions):
        raise Refusal("--vectors are asked instead of a corpus' questions; leave --corpus and --questions out")
    with _refusing():
        asked, begins = _asked(corpus, questions, vectors)
        client = Client(endpoint_of(endpoint, outputs), collection=collection)
        with progress_bar() as bar:
            task = bar.add_task("truth", total=len(asked))
            found = ask_truth(
                client, asked, k, begins if prefix is None else prefix, progress=lambda count: bar.advance(task, count)
            )
        save_queries(file, found)


def _asked(corpus: str | None, questions: Path | None, vectors: Path | None) -> tuple[Sequence[str | Vector], str]:
    """What to ask, and how ids of the documents begin that are there."""
    if vectors is not None:
        return load_vectors(vectors), ""
    chosen = choice.choose(corpus or choice.DEFAULT, questions)
    return [question.question for question in chosen.questions()], chosen.prefix


@click.command()
@endpoint_options
@click.option("--runs", type=click.IntRange(1, 100), default=RUNS, show_default=True, help="Fresh runs.")
@click.option("--extension", type=click.IntRange(0, 100), default=0, help="More runs, once, if UNDECIDED.")
@click.option("--workers", type=click.IntRange(1, 1_000), default=1, help="Generator processes that share the load.")
@click.option("--listen", metavar="HOST:PORT", help="Wait there for the workers, on other machines.")
@click.option("--evidence", type=click.Path(path_type=Path), help="New folder for the evidence.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@setting_options
def gate_command(
    endpoint: str | None,
    outputs: Path,
    runs: int,
    extension: int,
    workers: int,
    listen: str | None,
    evidence: Path | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Judge the service under open load.

    The exit code is the verdict: PASS 0, FAIL 1, UNDECIDED 2, VOID 3.
    """
    with _refusing():
        plan = Plan(
            endpoint_of(endpoint, outputs),
            Settings.from_values(values),
            runs,
            extension,
            workers,
            listen=_address(listen) if listen else None,
        )
        with gate_bar(plan) as report:
            result = gate_runs(plan, evidence or _fresh_folder(), report)
    _tell(result, as_json)


@click.command()
@click.argument("evidence", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def judge_command(evidence: Path, as_json: bool) -> None:
    """Judge a gate again from its folder EVIDENCE; nothing is sent."""
    with _refusing():
        result = rejudge(evidence)
    _tell(result, as_json)


@click.command()
def worker_command() -> None:
    """Generate load for the master that the fleet's parameters name."""
    from loadtests.worker import LoadWorker
    from service import logs
    from service.settings import BadSettings, process_from_environment

    try:
        process = process_from_environment()
    except BadSettings as error:
        raise Refusal(str(error)) from None
    logs.configure(process)
    sys.exit(LoadWorker(process).run())


@contextmanager
def gate_bar(plan: Plan) -> Iterator[Callable[[GateProgress], None]]:
    """A bar on standard error that follows a gate."""
    seconds = plan.settings.run_seconds
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with progress_bar(*columns) as bar:
        task = bar.add_task("load", total=plan.runs * seconds, note="")

        def report(now: GateProgress) -> None:
            done = (now.run - 1) * seconds + min(now.elapsed_seconds, seconds)
            note = f"{now.searches} searches, {now.slow} slow"
            bar.update(task, description=f"load {now.run}/{now.runs}", completed=done, note=note)

        yield report
        bar.update(task, completed=plan.runs * seconds)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1024 <= int(port) <= 65_535:
        raise Refusal(f"--listen is {text!r}; it must be HOST:PORT with a port from 1024 to 65535, as in 0.0.0.0:5557.")
    return Address(host, int(port))


def _fresh_folder() -> Path:
    return Path(".rehearsal") / "load" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-gate")


def _tell(result: GateResult, as_json: bool) -> None:
    if as_json:
        print_json(result.as_json(), indent=None)
    else:
        out = console()
        show_runs(result.runs, result.judgement, out)
        out.print(f"Evidence: {result.evidence}", highlight=False)
    sys.exit(int(result.judgement.verdict))
