"""Verbs that print and check pages."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from runbooks.guard import says_errors
from runbooks.pages.lint import check_file
from runbooks.pages.page import PAGES, find_page, read_page
from vectorfleet.options import json_option
from vectorfleet.output import print_json
from vectorfleet.verdicts import Verdict


@click.command(name="check")
@click.argument("pages", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@says_errors
def check_verb(pages: tuple[Path, ...], as_json: bool) -> None:
    """Check pages: grammar, commands, ways and budgets; all by default."""
    checked = pages or tuple(sorted(PAGES.glob("RB-*.md")))
    problems = [problem for page in checked for problem in check_file(page)]
    if as_json:
        print_json([{"path": str(one.path), "line": one.line, "message": one.message} for one in problems])
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(checked)} pages checked, {len(problems)} problems. Nothing was run.")
    sys.exit(Verdict.FAIL.exit_code if problems else 0)


@click.command()
@click.argument("page", metavar="PAGE")
@says_errors
def show(page: str) -> None:
    """Print a page as it stands; nothing is run."""
    click.echo(read_page(find_page(page)).text, nl=False)
