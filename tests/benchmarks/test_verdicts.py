"""The gate's own judgement of services whose truth is known, in virtual time."""

from __future__ import annotations

import json
from functools import cache

import pytest
from click.testing import CliRunner

from benchmarks.verdicts import SERVICES, Rates, Setting, command, measure


@cache
def rates(window_seconds: float) -> dict[str, Rates]:
    return {one.service: one for one in measure(Setting(200, 5, 40.0, window_seconds))}


@pytest.mark.parametrize("window_seconds", [10.0, 60.0])
def test_services_alike_in_each_run_are_judged_within_alpha(window_seconds: float) -> None:
    found = rates(window_seconds)
    assert found["3.0% slow"].passed > 0.85
    assert found["8.0% slow"].failed > 0.95
    assert found["5.0% slow"].passed < 0.1
    assert found["4.9% slow"].failed < 0.1
    assert all(found[name].passed < 0.2 for name in found if name.startswith("5% slow, by run"))


def test_short_windows_pass_rare_freezes_and_minutes_do_not() -> None:
    name = "4 s frozen every 60 s"
    assert rates(10.0)[name].passed > 0.2
    assert rates(60.0)[name].passed < 0.02
    assert rates(60.0)["20 s frozen every 300 s"].passed > 0.1


def test_the_rates_are_told_for_each_window() -> None:
    done = CliRunner().invoke(command, ["--gates", "2", "--runs", "1", "--rate", "5", "--json"])
    told = json.loads(done.output)
    assert {window: len(rows) for window, rows in told["windows"].items()} == dict.fromkeys(("10", "60"), len(SERVICES))
    assert all(row["passed"] + row["failed"] + row["undecided"] == 1 for row in told["windows"]["10"])
    table = CliRunner().invoke(command, ["--gates", "1", "--rate", "5", "--window", "30"]).output
    assert table.splitlines()[1].split() == ["slow", "30", "s"]
    assert len(table.splitlines()) == 2 + len(SERVICES)
