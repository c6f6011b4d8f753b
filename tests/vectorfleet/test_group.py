"""Exit codes of errors, the same in every group."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from runbooks.guard import says_errors
from vectorfleet.exit_codes import ExitCode
from vectorfleet.group import CommandGroup
from vectorfleet.refusal import Failure, Refusal, failing, refusing


@click.group(cls=CommandGroup)
def group() -> None:
    """Fail in every way."""


@group.command()
@click.argument("kind")
def fail(kind: str) -> None:
    """Fail as told."""
    with refusing(KeyError), failing(ValueError):
        raise {
            "key": KeyError("a"),
            "value": ValueError("a fault"),
            "refusal": Refusal("not so"),
            "failure": Failure("no answer"),
            "interrupt": KeyboardInterrupt(),
            "abort": click.Abort(),
            "usage": click.UsageError("no such thing"),
        }[kind]


@group.command()
@says_errors
def interrupted_run() -> None:
    """End as a drill that is told to end."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("key", 64, "Error: 'a'"),
        ("value", 1, "Error: a fault"),
        ("refusal", 64, "Error: not so"),
        ("failure", 1, "Error: no answer"),
        ("interrupt", 130, "Aborted."),
        ("abort", 130, "Aborted."),
        ("usage", 64, "Error: no such thing"),
    ],
)
def test_each_error_has_its_exit_code(kind: str, code: int, said: str) -> None:
    done = CliRunner().invoke(group, ["fail", kind])
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (code, said)


def test_an_interrupted_run_of_a_page_is_aborted() -> None:
    done = CliRunner().invoke(group, ["interrupted-run"])
    assert (done.exit_code, done.stderr) == (ExitCode.ABORTED, "Aborted.\n")


def test_clicks_own_classes_stay_as_they_are() -> None:
    assert click.UsageError.exit_code == 2
