"""The command `vectorfleet`: its table is complete, says what the verbs say, and imports none of them."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import CliRunner

from runbooks.pages.commands import problems
from tests.pages import ROOT, rows, section, text
from vectorfleet.door import load, main
from vectorfleet.exit_codes import ExitCode
from vectorfleet.verbs import CHAPTERS, Family, Verb

HEAVY = ("boto3", "hnswlib", "locust", "numpy", "pulumi", "rich")
PARTS = ("infra", "service", "loadtests", "runbooks", "rehearsal", "benchmarks", "policypack")


def verbs() -> Iterator[tuple[str, Verb]]:
    """Every verb with the words that call it."""
    for chapter in CHAPTERS.values():
        for name, entry in chapter.items():
            if isinstance(entry, Family):
                yield from ((f"{name} {word}", verb) for word, verb in entry.verbs.items())
            else:
                yield name, entry


def modules_after(*words: str, **environment: str) -> tuple[list[str], str]:
    """What a process has imported once it has answered, and what it printed."""
    program = (
        "import atexit, json, sys; from vectorfleet.door import main;"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr));"
        f"main({list(words)!r}, prog_name='vectorfleet')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return json.loads(done.stderr.splitlines()[-1]), done.stdout


@pytest.mark.parametrize("words", [("--help",), ("load", "--help"), ("bench", "--help")])
def test_help_imports_no_part_and_no_heavy_package(words: tuple[str, ...]) -> None:
    loaded, printed = modules_after(*words)
    assert "Usage: vectorfleet" in printed
    assert {name for name in loaded if name.split(".")[0] in (*PARTS, *HEAVY)} == set()


def test_completion_imports_no_part() -> None:
    request = {"COMP_WORDS": "vectorfleet re", "COMP_CWORD": "1", "_VECTORFLEET_COMPLETE": "bash_complete"}
    loaded, printed = modules_after(**request)
    assert printed.split() == ["plain,rebuild", "plain,replace", "plain,restore-entry", "plain,rehearse"]
    assert {name for name in loaded if name.split(".")[0] in (*PARTS, *HEAVY)} == set()


def test_each_summary_is_the_first_line_of_the_verbs_help() -> None:
    written = {words: verb.summary for words, verb in verbs()}
    own = {words: inspect.cleandoc(load(verb).help or "").splitlines()[0] for words, verb in verbs()}
    assert written == own
    assert [summary for summary in written.values() if len(summary) > 79 or not summary.endswith(".")] == []


def test_no_command_of_a_verbs_module_is_left_out() -> None:
    modules = {import_module(verb.module) for _, verb in verbs()}
    found = [one for module in modules for one in vars(module).values() if isinstance(one, click.Command)]
    families = [load(verb) for _, verb in verbs() if isinstance(load(verb), click.Group)]
    below = {id(one) for family in families for one in vars(family)["commands"].values()}
    reached = below | {id(load(verb)) for _, verb in verbs()}
    assert {one.name for one in found if not isinstance(one, click.Group) and id(one) not in reached} == set()


def test_the_page_lists_every_command() -> None:
    listed = [[f"`vectorfleet {words}`", verb.summary] for words, verb in verbs()]
    assert rows(section("docs/commands.md", "Verbs")) == listed


def test_the_page_lists_every_exit_code() -> None:
    table = rows(section("docs/commands.md", "Exit codes"))
    assert [row[:2] for row in table] == [[str(int(one)), one.name.replace("_", "-")] for one in ExitCode]


@pytest.mark.parametrize("words", [("plam",), ("load", "gat"), ("plan", "--vektors", "5"), ()])
def test_a_mistake_in_the_call_exits_with_64(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, words).exit_code == ExitCode.USAGE


def test_a_word_spelt_wrong_is_answered_with_the_nearest() -> None:
    assert "Did you mean 'gate'?" in CliRunner().invoke(main, ["load", "gat"]).output


def test_a_verb_is_called_by_the_word_of_the_table() -> None:
    assert "Usage: vectorfleet rehearse [OPTIONS]" in CliRunner().invoke(main, ["rehearse", "-h"]).output


def test_a_page_may_call_the_command() -> None:
    assert list(problems("vectorfleet fleet --field shards_missing")) == []
    assert "has no verb `flet`" in next(problems("vectorfleet flet"))[1]
    assert "has no verb `gat`" in next(problems("vectorfleet load gat"))[1]


def test_the_script_leads_to_the_command() -> None:
    scripts = tomllib.loads(text("pyproject.toml"))["project"]["scripts"]
    assert {name: EntryPoint(name, value, "console_scripts").load() for name, value in scripts.items()} == {
        "vectorfleet": main
    }
