from __future__ import annotations

import re
from io import StringIO

from rich.console import Console

from loadtests.judge.gate import judge
from loadtests.judge.table import figures, show_runs
from loadtests.run.settings import Targets
from tests.loadtests.samples import healthy


def test_verdict_and_figures_are_told() -> None:
    told = StringIO()
    run = healthy(p95_ms=None)
    show_runs([run, run], judge([run, run], Targets(), ()), Console(file=told, width=120))
    text = told.getvalue()
    assert "PASS as a smoke test (exit code 0)" in text
    assert "P95 (information)" in text
    assert "none" in text
    assert f"0 of {2 * run.arrivals:,} searches took 200 ms or more" in text


def test_failures_are_told_by_status_and_reason() -> None:
    told = StringIO()
    kinds = (("search: status 503: behind N positions", 4), ("write: connection [refused]", 1))
    runs = [healthy(), healthy(failed=5, failures=kinds)]
    show_runs(runs, judge(runs, Targets(), ()), Console(file=told, width=120))
    shown = told.getvalue()
    assert re.search(r"│ search: status 503: behind N positions +│ +0 │ +4 │", shown)
    assert re.search(r"│ write: connection \[refused\] +│ +0 │ +1 │", shown)
    assert "4 × search: status 503: behind N positions; 1 × write: connection [refused]." in " ".join(shown.split())
    assert ("write: connection [refused]", "1") in figures(runs[1])
