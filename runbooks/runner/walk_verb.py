"""The verb that walks a person through a page."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from infra.stack.outputs import read_stack
from runbooks.guard import says_errors
from runbooks.pages.lint import check
from runbooks.pages.page import Page, Step, find_page, read_page
from runbooks.runner.journal import unfinished
from runbooks.runner.run import Answer, Runner
from runbooks.runner.shell import Shell, page_environment
from vectorfleet.options import outputs_option, stack_slot_option
from vectorfleet.refusal import Refusal

DEFAULT_JOURNAL = Path(".rehearsal/runbook.jsonl")
ANSWERS: dict[str, Answer] = {"r": "run", "d": "done", "f": "failed", "a": "abort"}


@click.command()
@click.argument("page", metavar="PAGE")
@outputs_option
@stack_slot_option
@click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_JOURNAL, show_default=True)
@click.option("--resume", is_flag=True, help="Go on where the journal's last run broke off.")
@says_errors
def walk(page: str, outputs: Path, slot: str, journal: Path, resume: bool) -> None:
    """Go through a page step by step: you decide, the runner runs and checks.

    The journal keeps the time of each step.
    """
    found = _sound_page(find_page(page))
    if not resume and unfinished(journal):
        raise Refusal(f"{journal} holds an unfinished run. Go on with --resume, or name another --journal.")
    shell = Shell(Path.cwd(), page_environment(read_stack(outputs, slot=slot)))
    run = Runner(found, shell, journal, click.echo, _ask).run(resume=resume)
    click.echo(f"{run.verdict.value}: {run.sentence}. The times are in {journal}.")
    for command in run.undo:
        click.echo(f"To undo: {command}")
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
