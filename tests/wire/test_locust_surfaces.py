"""Locust's own surfaces: web page, run time, CSV, HTML report, and a custom locustfile."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from loadtests.generate.gate_runs import PROJECT
from loadtests.run.evidence import read_run
from loadtests.run.settings import option_fields
from tests.pages import FENCE, section
from tests.wire.fleet import eventually
from tests.wire.search_server import SearchServer, serving
from tests.wire.test_load_gate import ANY_MACHINE_OPTIONS

LOCUSTFILE = PROJECT / "loadtests" / "locustfile.py"
HITS = {"hits": [{"source_id": f"aws/{place}"} for place in range(10)], "partial": False}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start Locust in a folder of its own; kill processes that a failed test left."""
    started: list[subprocess.Popen[str]] = []

    def started_by(*options: str, locustfile: Path = LOCUSTFILE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "locust", "-f", str(locustfile), *ANY_MACHINE_OPTIONS, *options]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield started_by
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def get(url: str) -> str:
    with urlopen(url, timeout=20) as response:
        return str(response.read().decode())


def post(url: str, **form: object) -> Any:
    with urlopen(url, urlencode(form).encode(), timeout=20) as response:
        return json.load(response)


def is_up(url: str) -> bool:
    try:
        return bool(get(url))
    except OSError:
        return False


def test_web_page_has_every_setting_and_the_verdict(tmp_path: Path, start: Start) -> None:
    with serving(SearchServer(lambda body, written: HITS)) as endpoint, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        page = f"http://127.0.0.1:{free.getsockname()[1]}"
        free.close()
        start("--host", endpoint, "--web-host", "127.0.0.1", "--web-port", page.rpartition(":")[2])
        eventually(lambda: is_up(page))
        shown = json.loads(re.findall(r"templateArgs = ({.*})", get(page))[0])
        assert {*shown["extra_options"]} == {"evidence", *(one.name for one in option_fields())}
        assert not shown["hide_common_options"]
        form = {"user_count": 1, "spawn_rate": 1, "host": endpoint, "run_time": "4", "warmup_seconds": 0, "rate": 80}
        assert post(f"{page}/swarm", **form | {"evidence": "run"})["success"]
        eventually(lambda: json.loads(get(f"{page}/stats/requests"))["state"] == "stopped")
        # Locust keeps an answer for two seconds.
        tab = eventually(lambda: told_verdict(page))
        report = get(f"{page}/stats/report")
    assert tab[0] == {"figure": "verdict", "value": "PASS as a smoke test"}
    assert report.index('<table id="verdict"') < report.index("PASS") < report.index('id="root"')
    assert read_run(tmp_path / "run").registration.settings.load.window_seconds == 4.0


def told_verdict(page: str) -> Any:
    (tab,) = json.loads(get(f"{page}/stats/requests"))["extended_stats"]
    return tab["data"] if tab["data"][0]["value"] != "no run has ended yet" else None


def test_web_page_refuses_bad_settings(tmp_path: Path, start: Start) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").touch()
    with serving(server := SearchServer(lambda body, written: HITS)) as endpoint, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        page = f"http://127.0.0.1:{free.getsockname()[1]}"
        free.close()
        start("--host", endpoint, "--web-host", "127.0.0.1", "--web-port", page.rpartition(":")[2])
        eventually(lambda: is_up(page))
        for refused, words in (
            ({"rate": "inf"}, "--rate: inf is not in the range 0<x<=100000."),
            ({"rate": ""}, "--rate: '' is not a valid float range."),
            ({"recall_floor": "nan"}, "--recall-floor: nan is not in the range 0<=x<=1."),
            ({"queries": "nowhere"}, "nowhere cannot be read"),
            ({"user_count": 50}, "--users is 50 and --spawn-rate is 1.0"),
            ({"run_time": "soon"}, "Invalid time span format"),
            ({"run_time": "60", "window_seconds": "30"}, "--run-time and --window-seconds both set"),
            ({"evidence": "old"}, "old already holds the evidence of a run"),
        ):
            told = post(f"{page}/swarm", **{"user_count": 1, "spawn_rate": 1, "host": endpoint} | refused)
            assert (told["success"], told["message"][: len(words)]) == (False, words)
        assert json.loads(get(f"{page}/stats/requests"))["state"] == "ready"
    assert server.searches == 0


def test_run_time_csv_and_html_are_those_of_the_run(tmp_path: Path, start: Start) -> None:
    """A run of six seconds by -t: every search is in the CSV files, and the report has its points and the verdict."""
    options = ["--headless", "--only-summary", "-t", "6s", "--warmup-seconds=1", "--rate=100", "--null-rate=20"]
    files = ["--csv=found/run", "--html=found/report.html", "--evidence=run"]
    with serving(server := SearchServer(lambda body, written: HITS)) as endpoint:
        process = start("--host", endpoint, *options, *files)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "will be ignored" not in told
    run = read_run(tmp_path / "run")
    assert run.registration.settings.run_seconds == 6.0
    assert run.probes
    with (tmp_path / "found" / "run_stats.csv").open() as file:
        counts = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert counts == {"search": server.searches, "Aggregated": server.searches}
    with (tmp_path / "found" / "run_stats_history.csv").open() as file:
        assert int(list(csv.DictReader(file))[-1]["Total Request Count"]) == server.searches
    report = (tmp_path / "found" / "report.html").read_text()
    assert report.index('<table id="verdict"') < report.index("PASS") < report.index('id="root"')
    history = json.loads(re.findall(r"templateArgs = ({.*})", report)[0])["history"]
    assert len(history) >= 5


def test_run_time_reaches_the_workers(tmp_path: Path, start: Start) -> None:
    """Locust itself keeps it from them."""
    with serving(SearchServer(lambda body, written: HITS)) as endpoint, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        workers = ["--processes", "2", "--master-bind-port", port, "--master-port", port]
        process = start("--host", endpoint, "--headless", "-t", "6s", "--rate=80", "--evidence=run", *workers)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    run = read_run(tmp_path / "run")
    assert run.registration.settings.run_seconds == 6.0
    assert len(run.generators) == 2
    assert max(arrival.offset_seconds for arrival in run.arrivals) < 6.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rate=inf"], "--rate: inf is not in the range"),
        (["--rate=many"], "'many' is not a valid float range"),
        (["--users=50"], "--users is 50"),
        (["-t", "1s"], "the warm-up takes 2 s of it"),
    ],
)
def test_bad_options_end_with_64(start: Start, options: list[str], words: str) -> None:
    process = start("--host", "http://127.0.0.1:9", "--headless", *options)
    told, _ = process.communicate(timeout=30)
    assert (process.returncode, words in told) == (64, True), told


def test_locustfile_of_the_page_asks_its_own_mix(tmp_path: Path, start: Start) -> None:
    """The page's locustfile needs no change of the project."""
    blocks = FENCE.findall(section("docs/loadtests.md", "A custom mix"))
    (shown,) = (body for language, body in blocks if language == "python")
    (tmp_path / "mine.py").write_text(shown)
    asked: list[dict[str, Any]] = []

    def answer(body: dict[str, Any], written: list[str]) -> dict[str, Any]:
        asked.append(body)
        return HITS

    with serving(SearchServer(answer)) as endpoint:
        options = ["--headless", "--only-summary", "-t", "5s", "--warmup-seconds=0", "--rate=100"]
        process = start("--host", endpoint, *options, locustfile=tmp_path / "mine.py")
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    counts = Counter((body["text"], json.dumps(body.get("filter")), body.get("exact", False)) for body in asked)
    lamps = counts.pop(("lamp", '{"stock": {"gt": 0}}', False))
    assert counts == {("discontinued lamp", "null", True): len(asked) - lamps}
    assert 0.8 < lamps / len(asked) < 0.98
