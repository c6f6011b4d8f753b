"""The verb `golden`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from loadtests.corpora.choice import DEFAULT, choose
from loadtests.golden import golden_set
from loadtests.options import client_options, corpus_option, questions_option, refusing_errors
from service.client import Client
from vectorfleet.exit_codes import ExitCode
from vectorfleet.options import json_option
from vectorfleet.output import console, counting, print_json
from vectorfleet.refusal import Refusal


@click.command()
@client_options
@corpus_option
@questions_option
@click.option("--save", type=click.Path(path_type=Path), help="Write questions and answers to FILE, a baseline.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Ask FILE's questions; exit 1 if answers differ.")
@json_option
@refusing_errors()
def golden_command(
    client: Client,
    corpus: str | None,
    questions: Path | None,
    save: Path | None,
    baseline: Path | None,
    as_json: bool,
) -> None:
    """Ask the golden questions and print recall and relevance."""
    if baseline and (corpus or questions):
        raise Refusal(f"--baseline {baseline} has its own questions; leave out --corpus and --questions.")
    before = golden_set.load(baseline) if baseline else None
    if before:
        asked, prefix = before.asked_questions(), before.prefix
    else:
        chosen = choose(corpus or DEFAULT, questions)
        asked, prefix = chosen.questions(), chosen.prefix
    with counting("golden set", len(asked)) as progress:
        result = golden_set.ask(client, asked, prefix, progress=progress)
    if before is None and not any(result.answers.values()):
        raise Refusal(
            f"The fleet holds no document of the corpus {corpus or DEFAULT}; ingest it, or name another corpus with "
            "--corpus. A drill takes the file of `vectorfleet golden --corpus … --save FILE` with --baseline."
        )
    if save:
        golden_set.save(result, save)
    differences = result.differences(before) if before else []
    if as_json:
        print_json(result.to_json() | {"differences": differences}, indent=None)
    else:
        _print_golden(result, differences)
    sys.exit(ExitCode.FAIL if differences else ExitCode.PASS)


def _print_golden(result: golden_set.Golden, differences: list[str]) -> None:
    console(stderr=True).print(
        f"{result.questions} questions: relevance {result.relevance:.3f} (an accepted document among the exact first "
        f"ten; {result.served_relevance:.3f} as served), recall {result.recall:.3f} (against exact search)"
    )
    for difference in differences:
        console(stderr=True).print(f"differs from the baseline: {difference}", style="red")
