"""The gate against a real server on loopback: a healthy one passes, a broken one fails, a bad measurement is VOID."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.generate.gate_runs import PROJECT, GateResult, Plan, Progress, gate_runs, rejudge
from loadtests.judge.tally import tally
from loadtests.run.evidence import read_run
from loadtests.run.queries import Query, QuerySet, save_queries
from loadtests.run.settings import Limits, Load, Settings
from tests.wire.fleet import eventually
from tests.wire.search_server import SearchServer, serving
from vectorfleet.verdicts import Verdict

TRUTH = {f"question {q}": tuple(f"aws/{q}/{place}" for place in range(10)) for q in range(20)}
# The state of this machine must not decide; other tests hold the reasons for VOID.
ANY_MACHINE = Limits(spin_change=1e6, steal_share=1.0, cpu_share=100.0, floor_limit_ms=1e6, lag_limit_ms=1e5)
ANY_MACHINE_OPTIONS = [
    f"--{limit.name.replace('_', '-')}={getattr(ANY_MACHINE, limit.name)}"
    for limit in fields(Limits)
    if getattr(ANY_MACHINE, limit.name) != limit.default
]
LOAD = Load(rate=100.0, warmup_seconds=0.5, window_seconds=4.0, timeout_seconds=4.0, null_rate=10.0)


def exact(body: dict[str, Any], written: list[str]) -> dict[str, Any]:
    """Return the truth, with the newest written document, if any, among the first."""
    ids = [*TRUTH[body["text"]][:3], *written[-1:], *TRUTH[body["text"]][3:]]
    return {"hits": [{"source_id": source_id} for source_id in ids[: body["k"]]], "partial": False}


def wrong(body: dict[str, Any], written: list[str]) -> dict[str, Any]:
    """Return an answer in which two of ten documents are wrong."""
    answer = exact(body, written)
    answer["hits"][3:5] = [{"source_id": "aws/wrong/1"}, {"source_id": "aws/wrong/2"}]
    return answer


def foreign(body: dict[str, Any], written: list[str]) -> dict[str, Any]:
    """Return one right document, and nine that nobody wrote."""
    answer = exact(body, written)
    answer["hits"][1:] = [{"source_id": f"elsewhere/{place}"} for place in range(9)]
    return answer


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a load whose questions have a known truth."""
    queries = QuerySet(tuple(Query(text, truth) for text, truth in TRUTH.items()), 10, "aws/")
    save_queries(tmp_path / "queries.jsonl", queries)
    return replace(LOAD, queries=str(tmp_path / "queries.jsonl"))


def gate(endpoint: str, load: Load, folder: Path, runs: int = 1) -> GateResult:
    result = gate_runs(Plan(endpoint, Settings(load=load, limits=ANY_MACHINE), runs), folder)
    assert rejudge(folder).judgement == result.judgement
    return result


def test_healthy_service_passes_while_documents_arrive(load: Load, tmp_path: Path) -> None:
    seen: list[Progress] = []
    registered: list[Any] = []
    server = SearchServer(exact)
    with serving(server) as endpoint:
        plan = Plan(endpoint, Settings(load=replace(load, writes_per_second=20.0, slot="green"), limits=ANY_MACHINE))
        folder = tmp_path / "gate"
        look = threading.Thread(target=lambda: registered.append(_registered_at_first_search(server, folder)))
        look.start()
        result = gate_runs(replace(plan, runs=2), folder, seen.append)
        look.join()
    assert result.judgement.verdict == Verdict.PASS, result.judgement.sentences
    assert registered[0]["registered"]["settings"]["rate"] == 100.0
    assert registered[0]["judged"] is None
    assert [run.seed for run in result.runs] == [1, 2]
    assert all(run.recall == 1.0 and run.judged == run.arrivals for run in result.runs)
    assert sum(run.documents_written for run in result.runs) == len(server.written)
    assert server.written[:2] == ["load/1/0", "load/1/1"]
    assert server.slots == {b"green"}
    assert [report.run for report in seen] == sorted(report.run for report in seen)
    assert max(report.searches for report in seen) > 200
    assert json.loads((folder / "gate.json").read_text())["judged"]["verdict"] == "PASS"


def _registered_at_first_search(server: SearchServer, folder: Path) -> Any:
    assert server.first_search.wait(timeout=20)
    return json.loads((folder / "gate.json").read_text())


@pytest.mark.parametrize(
    ("limits", "expected"), [(ANY_MACHINE, Verdict.FAIL), (Limits(lag_limit_ms=1.0, lag_share=0.001), Verdict.VOID)]
)
def test_freeze_fails_where_times_are_not_in_doubt(
    load: Load, tmp_path: Path, limits: Limits, expected: Verdict
) -> None:
    """A burst of answers makes the generator late as well; where even 1 ms counts, the run is in doubt."""
    settings = Settings(load=replace(load, flight_cap=400), limits=limits)
    with serving(SearchServer(exact, freeze_at=100, freeze_seconds=3.0)) as endpoint:
        result = gate_runs(Plan(endpoint, settings, runs=1), tmp_path / "gate")
    (run,) = result.runs
    assert result.judgement.verdict == expected, result.judgement.sentences
    assert bool(result.judgement.void_reasons) == (expected is Verdict.VOID)
    assert run.slow_service > 200
    assert run.unsent == 0
    assert run.arrivals == run.planned
    assert run.slow > 200
    assert run.p95_ms is not None
    assert run.p95_ms > 2000


def test_arrivals_beyond_the_cap_are_unsent_and_slow(load: Load, tmp_path: Path) -> None:
    with serving(SearchServer(exact, freeze_at=100, freeze_seconds=3.0)) as endpoint:
        result = gate(endpoint, replace(load, flight_cap=40), tmp_path / "gate")
    (run,) = result.runs
    assert run.arrivals == run.planned
    assert run.unsent > 150
    assert run.slow >= run.unsent
    assert result.judgement.verdict == Verdict.FAIL


def test_wrong_answers_fail_on_recall_alone(load: Load, tmp_path: Path) -> None:
    with serving(SearchServer(wrong)) as endpoint:
        result = gate(endpoint, load, tmp_path / "gate")
    states = {condition.name: condition.state for condition in result.judgement.conditions}
    assert result.judgement.verdict == Verdict.FAIL
    assert states == {"latency": "holds", "errors": "holds", "recall": "broken"}
    assert result.runs[0].recall == pytest.approx(0.8)


def test_unwritten_documents_are_wrong(load: Load, tmp_path: Path) -> None:
    with serving(SearchServer(foreign)) as endpoint:
        result = gate(endpoint, load, tmp_path / "gate")
    (run,) = result.runs
    assert result.judgement.verdict == Verdict.FAIL
    assert run.recall == pytest.approx(0.1)
    assert (run.strangers, run.stranger) == (9 * run.judged, "elsewhere/0")


def test_documents_of_earlier_gates_may_stand_in_answers(load: Load, tmp_path: Path) -> None:
    """Of the same seed, whose documents are written once more, and of another."""
    with serving(SearchServer(exact)) as endpoint:
        for number, seed in enumerate((9, 1, 1)):
            again = replace(load, writes_per_second=20.0, window_seconds=2.0, seed=seed)
            (run,) = gate(endpoint, again, tmp_path / str(number)).runs
            assert (run.recall, run.strangers, run.judged) == (1.0, 0, run.arrivals)


def test_empty_answers_fail_also_without_a_truth(tmp_path: Path) -> None:
    with serving(SearchServer(lambda body, written: {"hits": []})) as endpoint:
        result = gate(endpoint, LOAD, tmp_path / "gate")
    assert result.judgement.verdict == Verdict.FAIL
    assert result.runs[0].short == result.runs[0].arrivals


def test_endpoint_may_end_with_a_slash(load: Load, tmp_path: Path) -> None:
    with serving(SearchServer(exact)) as endpoint:
        result = gate(f"{endpoint}/", load, tmp_path / "gate")
    assert result.judgement.verdict == Verdict.PASS, result.judgement.sentences


def test_dead_server_fails(load: Load, tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        result = gate(f"http://127.0.0.1:{nobody.getsockname()[1]}", load, tmp_path / "gate")
    (run,) = result.runs
    assert result.judgement.verdict == Verdict.FAIL
    assert run.failed == run.arrivals == run.planned
    assert run.failures == (("search: connection refused", run.failed),)
    assert f"{run.failed:,} × search: connection refused." in " ".join(result.judgement.sentences)


def test_answers_that_never_come_are_time_outs(load: Load, tmp_path: Path) -> None:
    with serving(SearchServer(exact, freeze_at=100, freeze_seconds=3.0)) as endpoint:
        result = gate(endpoint, replace(load, timeout_seconds=0.5, flight_cap=400), tmp_path / "gate")
    (run,) = result.runs
    assert run.timeouts > 150
    # While the server is stalled, its listener's queue fills up as well.
    reasons = {"search: no answer in time", "search: no connection in time"}
    assert {kind for kind, _ in run.failures} <= reasons
    assert sum(count for _, count in run.failures) == run.timeouts


@pytest.fixture
def locust_by_hand(tmp_path: Path) -> Iterator[Any]:
    """Start the locustfile from another folder; kill processes that a failed test left."""
    started: list[subprocess.Popen[str]] = []

    def start(endpoint: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "locust", "-f", str(PROJECT / "loadtests" / "locustfile.py"), "--headless"]
        command += ["--only-summary", "--skip-log-setup", "--host", endpoint, *options]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_killed_worker_makes_the_run_void(load: Load, tmp_path: Path, locust_by_hand: Any) -> None:
    """Locust itself would end with 0."""
    port = _free_port()
    workers = ["--processes", "2", "--master-bind-port", port, "--master-port", port]
    with serving(server := SearchServer(exact)) as endpoint:
        options = [*workers, "--window-seconds=7", "--warmup-seconds=0.5", "--rate=60", f"--queries={load.queries}"]
        process = locust_by_hand(endpoint, *options, "--evidence=run")
        eventually(lambda: server.searches > 60)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        told, _ = process.communicate(timeout=30)
    assert process.returncode == Verdict.VOID.exit_code, told
    assert "1 of 2 workers of the generator did not work to the end" in told
    run = read_run(tmp_path / "run")
    assert 0 < len(run.arrivals) < 7.5 * 60


def test_locust_exits_with_the_verdict_of_built_in_questions(tmp_path: Path, locust_by_hand: Any) -> None:
    def answer(body: dict[str, Any], written: list[str]) -> dict[str, Any]:
        return {"hits": [{"source_id": f"anything/{place}"} for place in range(body["k"])]}

    with serving(SearchServer(answer)) as endpoint:
        options = ["--rate=100", "--window-seconds=4", "--warmup-seconds=0.2"]
        process = locust_by_hand(endpoint, *options, *ANY_MACHINE_OPTIONS)
        told, _ = process.communicate(timeout=30)
    assert process.returncode == Verdict.PASS.exit_code, told
    assert "recall of timed answers" in told
    (folder,) = (tmp_path / ".rehearsal" / "load").iterdir()
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "PASS"


def test_a_stalled_generator_is_void_and_no_failure(load: Load, tmp_path: Path, locust_by_hand: Any) -> None:
    """Stopped 300 ms of every 306, with all doubts about machines switched off."""
    with serving(server := SearchServer(exact)) as endpoint:
        options = ["--rate=50", "--window-seconds=4", "--warmup-seconds=0", f"--queries={load.queries}"]
        process = locust_by_hand(endpoint, *options, *ANY_MACHINE_OPTIONS, "--evidence=run")
        eventually(lambda: server.searches > 3)
        for _ in range(13):
            for sign, seconds in ((signal.SIGSTOP, 0.3), (signal.SIGCONT, 0.006)):
                process.send_signal(sign)
                time.sleep(seconds)  # the fault itself
        told, _ = process.communicate(timeout=30)
    assert process.returncode == Verdict.VOID.exit_code, told
    assert "may be the generator's own doing" in " ".join(told.split())
    counts = tally(read_run(tmp_path / "run"))
    assert counts.slow > 0.1 * counts.arrivals
    assert counts.slow_service < 0.02 * counts.arrivals


def test_run_that_is_interrupted_is_void(tmp_path: Path, locust_by_hand: Any) -> None:
    with serving(server := SearchServer(lambda body, written: {"hits": []})) as endpoint:
        process = locust_by_hand(endpoint, "--rate=100", "--window-seconds=60", "--evidence=run")
        eventually(lambda: server.searches > 50)
        process.terminate()
        process.communicate(timeout=15)
    assert process.returncode == Verdict.VOID.exit_code


def test_bad_setting_ends_with_64(tmp_path: Path, locust_by_hand: Any) -> None:
    process = locust_by_hand("http://127.0.0.1:9", "--rate=0")
    process.communicate(timeout=15)
    assert process.returncode == 64


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])
