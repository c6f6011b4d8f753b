"""The verbs of load: truth, gate, judge, worker."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from loadtests.corpora.choice import DEFAULT, choose
from loadtests.generate.gate_runs import RUNS, Address, GateResult, Plan, Progress, gate_runs, rejudge
from loadtests.golden.truth import Vector, ask_truth, load_vectors
from loadtests.judge.table import show_runs
from loadtests.options import (
    Command,
    client_options,
    corpus_option,
    endpoint_options,
    questions_option,
    refusing_errors,
)
from loadtests.run.evidence import new_folder
from loadtests.run.queries import save_queries
from loadtests.run.settings import Settings, option_fields, option_name
from service.client import Client
from vectorfleet.options import json_option
from vectorfleet.output import console, counting, print_json, progress_bar
from vectorfleet.refusal import Refusal


def setting_options(command: Command) -> Command:
    """Add each setting as an option, with the names of the locustfile."""
    for item in reversed(list(option_fields())):
        command = click.option(
            option_name(item.name),
            type=item.metadata["kind"] or str,
            default=item.default,
            show_default=bool(item.default),
            help=item.metadata["help"],
        )(command)
    return command


@click.command()
@client_options
@corpus_option
@questions_option
@click.option(
    "--vectors", type=click.Path(path_type=Path), help="Ask these instead: FILE.npy, shape (questions, dims)."
)
@click.option(
    "--prefix", help="Prefix of the documents that the fleet holds before the load; by default that of the corpus."
)
@click.option("--k", type=click.IntRange(1, 100), default=10, show_default=True, help="Answers per question.")
@click.argument("file", type=click.Path(path_type=Path))
@refusing_errors()
def truth_command(
    client: Client,
    corpus: str | None,
    questions: Path | None,
    vectors: Path | None,
    prefix: str | None,
    k: int,
    file: Path,
) -> None:
    """Ask by exact search and write FILE, by which a gate judges recall."""
    if vectors and (corpus or questions):
        raise Refusal("--vectors replaces the questions of a corpus; leave out --corpus and --questions.")
    asked: list[str | Vector]
    if vectors:
        asked, own_prefix = [*load_vectors(vectors)], ""
    else:
        chosen = choose(corpus or DEFAULT, questions)
        asked, own_prefix = [question.question for question in chosen.questions()], chosen.prefix
    with counting("truth", len(asked)) as progress:
        found = ask_truth(client.search, asked, k, own_prefix if prefix is None else prefix, progress=progress)
    save_queries(file, found)


@click.command()
@endpoint_options
@click.option("--runs", type=click.IntRange(1, 100), default=RUNS, show_default=True, help="Fresh runs.")
@click.option("--extension", type=click.IntRange(0, 100), default=0, help="Further runs, once, if UNDECIDED.")
@click.option("--workers", type=click.IntRange(1, 1_000), default=1, help="Generator processes that share the load.")
@click.option("--listen", metavar="HOST:PORT", help="Wait at this address for workers on other machines.")
@click.option("--evidence", type=click.Path(path_type=Path), help="New folder for the evidence.")
@json_option
@setting_options
@refusing_errors()
def gate_command(
    endpoint: str,
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
    address = _address(listen) if listen else None
    plan = Plan(endpoint, Settings.from_values(values), runs, extension, workers, listen=address)
    with gate_bar(plan) as report:
        result = gate_runs(plan, evidence or new_folder("gate"), report)
    _end_with(result, as_json)


@click.command()
@click.argument("evidence", type=click.Path(path_type=Path))
@json_option
@refusing_errors()
def judge_command(evidence: Path, as_json: bool) -> None:
    """Judge a gate again from its folder EVIDENCE; nothing is sent."""
    _end_with(rejudge(evidence), as_json)


@click.command()
def worker_command() -> None:
    """Generate load for the master that the fleet's parameters name."""
    from loadtests.generate.worker import LoadWorker
    from service import logs
    from service.settings import BadSettings, process_from_environment

    try:
        process = process_from_environment()
    except BadSettings as error:
        raise Refusal(str(error)) from None
    logs.configure(process)
    sys.exit(LoadWorker(process).run())


@contextmanager
def gate_bar(plan: Plan) -> Iterator[Callable[[Progress], None]]:
    """Show a bar on standard error; the function yielded moves it."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    total_seconds = plan.runs * plan.settings.run_seconds
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with progress_bar(*columns) as bar:
        task = bar.add_task("load", total=total_seconds, note="")

        def report(now: Progress) -> None:
            note = f"{now.searches} searches, {now.slow} slow"
            bar.update(task, description=f"load {now.run}/{now.runs}", completed=now.done_seconds, note=note)

        yield report
        bar.update(task, completed=total_seconds)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1024 <= int(port) <= 65_535:
        raise Refusal(f"--listen is {text!r}; it must be HOST:PORT with a port from 1024 to 65535, as in 0.0.0.0:5557.")
    return Address(host, int(port))


def _end_with(result: GateResult, as_json: bool) -> None:
    if as_json:
        print_json(result.as_json(), indent=None)
    else:
        out = console()
        show_runs(result.runs, result.judgement, out)
        out.print(f"Evidence: {result.evidence}", highlight=False)
    sys.exit(result.judgement.verdict.exit_code)
