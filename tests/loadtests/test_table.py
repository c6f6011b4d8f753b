from __future__ import annotations

from io import StringIO

from rich.console import Console

from loadtests.gate import judge
from loadtests.settings import Targets
from loadtests.table import show_runs
from tests.loadtests.samples import healthy


def test_verdict_and_figures_are_told() -> None:
    told = StringIO()
    run = healthy(p95_ms=None)
    show_runs([run, run], judge([run, run], Targets(), ()), Console(file=told, width=120))
    text = told.getvalue()
    assert "PASS (exit code 0)" in text
    assert "P95 (information)" in text
    assert "none" in text
    assert f"0 of {2 * run.arrivals:,} searches took 200 ms or more" in text
