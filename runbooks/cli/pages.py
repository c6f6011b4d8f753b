"""Verbs for pages: check them, read one, walk through one with the runner at hand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from runbooks.cli.options import json_option, outputs_option, says_errors
from runbooks.drills.settings import PAGES
from runbooks.runner.journal import unfinished
from runbooks.runner.lint import Problem, check, check_file
from runbooks.runner.page import Page, Step, read_page
from runbooks.runner.run import Answer, Runner
from runbooks.runner.shell import Shell
from runbooks.stack import read_stack
from runbooks.verdict import Verdict
from vectorfleet.output import print_json
from vectorfleet.refusal import Refusal

DEFAULT_JOURNAL = Path(".rehearsal/runbook.jsonl")
ANSWERS: dict[str, Answer] = {"r": "run", "d": "done", "f": "failed", "a": "abort"}

page_argument = click.argument("page", metavar="PAGE")


def find_page(name: str) -> Path:
    """A page by its file or its number (`RB-02`). Raises Refusal that lists what there is."""
    if Path(name).is_file():
        return Path(name)
    pages = sorted(PAGES.glob("RB-*.md"))
    found = [page for page in pages if re.match(re.escape(name) + r"(-|$)", page.stem)]
    if len(found) != 1:
        raise Refusal(f"`{name}` is no page; there are {', '.join(page.stem for page in pages)}, or name a file")
    return found[0]


@click.command(name="check")
@click.argument("pages", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@says_errors
def check_verb(pages: tuple[Path, ...], as_json: bool) -> None:
    """Check pages: grammar, commands, ways and budgets; all by default."""
    checked = pages or tuple(sorted(PAGES.glob("RB-*.md")))
    problems = [problem for page in checked for problem in check_file(page)]
    if as_json:
        print_json([_as_json(problem) for problem in problems])
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(checked)} pages checked, {len(problems)} problems. Nothing was run.")
    sys.exit(Verdict.FAIL.exit_code if problems else 0)


def _as_json(problem: Problem) -> dict[str, object]:
    return {"path": str(problem.path), "line": problem.line, "message": problem.message}


@click.command()
@page_argument
@says_errors
def show(page: str) -> None:
    """Print a page as it stands; nothing is run."""
    click.echo(read_page(find_page(page)).text, nl=False)


@click.command()
@page_argument
@outputs_option
@click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_JOURNAL, show_default=True)
@click.option("--resume", is_flag=True, help="Go on where the journal's last run broke off.")
@says_errors
def walk(page: str, outputs: Path, journal: Path, resume: bool) -> None:
    """Go through a page step by step: you decide, the runner runs and checks.

    The journal keeps the time of each step.
    """
    found = _sound_page(find_page(page))
    if not resume and unfinished(journal):
        raise Refusal(f"{journal} holds an unfinished run: go on with --resume, or name another --journal")
    shell = Shell(Path.cwd(), read_stack(outputs).environment())
    run = Runner(found, shell, journal, click.echo, _ask).run(resume=resume)
    click.echo(f"{run.verdict.value}: {run.sentence}. The times are in {journal}.")
    for command in run.undo:
        click.echo(f"To take back: {command}")
    sys.exit(run.verdict.exit_code)


def _sound_page(path: Path) -> Page:
    page = read_page(path)
    if problems := check(page):
        raise Refusal("\n".join(map(str, problems)))
    return page


def _ask(step: Step) -> Answer:
    assert step.fence is not None
    for line in (step.why, step.fence.script, f"Expect: {'; '.join(e.source for e in step.expects)}"):
        if line:
            click.echo(line)
    try:
        answer = click.prompt("[r]un it, I have [d]one it, it [f]ailed, [a]bort", type=click.Choice(list(ANSWERS)))
    except click.Abort:
        return "abort"
    return ANSWERS[answer]
