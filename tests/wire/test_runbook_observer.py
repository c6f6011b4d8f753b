"""The observer of a small service that is killed, hangs, and restores wrongly."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from runbooks.drills.audit import AuditError, AuditReport, audit_ledger
from runbooks.drills.measure import Marks, measure
from runbooks.observe.exchange import Exchange
from runbooks.observe.freshness import Writes, measure_freshness
from runbooks.observe.ledger import Ledger, LedgerWriter
from runbooks.observe.observer import Observer, ObserverError, ObserverSettings, sweep
from runbooks.observe.probe import Patience, probe
from runbooks.observe.windows import Yardstick
from service.client import Client
from tests.pages import ROOT
from tests.runbooks.fake_fleet_process import FakeFleet, eventually
from tests.runbooks.observation import INTERVAL, Observation, read


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FakeFleet]:
    fake = FakeFleet(tmp_path)
    fake.start()
    yield fake
    fake.kill()


@pytest.fixture
def observation(fleet: FakeFleet, tmp_path: Path) -> Iterator[Observation]:
    observed = Observation(fleet.endpoint, tmp_path / "ledger.jsonl")
    eventually(lambda: observed.path.stat().st_size > 0 and observed.ledger.ready is not None)
    yield observed
    observed.end()


def audited(fleet: FakeFleet, ledger: Ledger) -> AuditReport:
    return audit_ledger(Client(fleet.endpoint, timeout_seconds=5), ledger, t0=time.monotonic(), within_seconds=10)


def test_a_healthy_service_keeps_every_write(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(60)
    ledger = observation.end()
    assert {canary.result for canary in ledger.canaries} == {"good"}
    assert {operation.kind for operation in ledger.writes} == {"upsert", "delete"}
    found = audited(fleet, ledger)
    assert found.losses.none
    assert found.losses.kept == len(ledger.writes)
    assert found.agree
    assert ledger.reason == "told to stop"


@pytest.mark.parametrize(
    ("flaw", "counts"),
    [
        ("none", {}),
        ("lose", {"lost": 1}),
        ("stale", {"stale": 1}),
        ("resurrect", {"resurrected": 1}),
        ("phantom", {"phantom": 1, "lost": 1}),
    ],
)
def test_a_wrong_restore_is_named(
    fleet: FakeFleet, observation: Observation, flaw: str, counts: dict[str, int]
) -> None:
    # The plan of writes needs a while to have three of each kind; its seed is fixed.
    observation.await_canaries(120)
    fleet.kill()
    observation.await_canaries(10)
    # The log keeps everything: a write whose reply was cut off may be there or not, both are legal.
    ledger = observation.end()
    fleet.start("--flaw", flaw)
    found = audited(fleet, ledger).losses
    bad = {"lost": found.lost, "stale": found.stale, "resurrected": found.resurrected, "phantom": found.phantom}
    per_shard = {name: count * 2 for name, count in counts.items()}
    assert {name: count for name, count in bad.items() if count} == per_shard
    assert found.none == (not counts)


def test_an_outage_is_timed_by_the_canaries(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(20)
    killed = time.monotonic()
    fleet.kill()
    observation.await_canaries(20)
    fleet.start()
    back = time.monotonic()
    observation.await_canaries(60)
    ledger = observation.end()
    found = measure(ledger.canaries, Marks(injected=killed), Yardstick(1.0, INTERVAL, slow_seconds=1.0))
    assert found.t0 is not None
    assert found.t5 is not None
    assert killed <= found.t0 <= killed + 3 * INTERVAL
    # Searches of a closed loopback port fail at once, so the first good one is due when the port is back.
    assert abs(found.t5 - back) < 1.0
    assert audited(fleet, ledger).losses.none


def test_a_hanging_service_delays_no_due_instant(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(10)
    fleet.hang(True)
    observation.await_canaries(80)
    fleet.hang(False)
    ledger = observation.end()
    dues = sorted({canary.due for canary in ledger.canaries})
    gaps = [after - before for before, after in itertools.pairwise(dues)]
    assert max(gaps) == pytest.approx(INTERVAL, abs=1e-5)
    hung = [operation for operation in ledger.writes if operation.outcome == "unknown"]
    assert hung
    assert audited(fleet, ledger).losses.none


def test_an_unknown_write_is_not_touched_again(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(20)
    fleet.hang(True)
    observation.await_canaries(60)
    fleet.hang(False)
    observation.await_canaries(200)
    ledger = observation.end()
    assert sum(operation.outcome == "unknown" for operation in ledger.writes) > 5
    last: dict[str, int] = {}
    for operation in ledger.writes:
        last[operation.source_id] = operation.number
    assert all(last[o.source_id] == o.number for o in ledger.writes if o.outcome == "unknown")


def test_each_intent_is_on_disk_before_the_request_is_sent(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(40)
    stored = {document["request_id"] for line in fleet.log.read_text().splitlines() for document in json.loads(line)}
    known = observation.path.read_text().count('"record":"intent"')
    assert len(stored) <= known


def test_an_audit_without_an_answer_is_an_error(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(4)
    ledger = observation.end()
    fleet.kill()
    with pytest.raises(AuditError, match="did not return its documents"):
        audit_ledger(Client(fleet.endpoint, timeout_seconds=1), ledger, t0=0.0, within_seconds=0.5)


def test_an_observer_that_finds_no_service_says_so(tmp_path: Path) -> None:
    settings = ObserverSettings("http://127.0.0.1:9", INTERVAL, timeout_seconds=0.5, plant_seconds=0.5)
    writer = LedgerWriter(tmp_path / "ledger.jsonl")
    with pytest.raises(ObserverError, match="does not take a write"):
        Observer(settings, writer, "test").run(threading.Event())
    writer.close()
    assert "does not take a write" in read(tmp_path / "ledger.jsonl").reason


def test_sweeping_leaves_nothing_of_the_observer(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(20)
    ledger = observation.end()
    assert sweep(Exchange(fleet.endpoint, 5.0), ledger) == len(ledger.source_ids)
    documents = Client(fleet.endpoint).lookup(ledger.source_ids)["documents"]
    assert set(documents.values()) == {None}


def observe_command(fleet: FakeFleet, path: Path, *more: str) -> list[str]:
    call = [sys.executable, "-m", "vectorfleet", "drill", "observe", "--endpoint", fleet.endpoint]
    return [*call, "--ledger", str(path), "--interval", f"{INTERVAL}s", *more]


def test_the_observer_process_ends_on_sigterm(fleet: FakeFleet, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    process = subprocess.Popen(observe_command(fleet, path), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    eventually(lambda: path.exists() and path.stat().st_size > 0 and read(path).ready is not None)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "told to stop" in said
    assert read(path).stopped is not None


def test_the_observer_process_ends_at_its_maximum(fleet: FakeFleet, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    subprocess.run(observe_command(fleet, path, "--for", "1s"), cwd=ROOT, check=True, timeout=30)
    assert "maximum of 1 s" in read(path).reason


def test_the_observer_process_does_not_outlive_its_parent(fleet: FakeFleet, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    command = observe_command(fleet, path, "--end-with-parent")
    code = "import subprocess,sys,time; subprocess.Popen(sys.argv[1:]); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", code, *command], cwd=ROOT)
    eventually(lambda: path.exists() and path.stat().st_size > 0 and read(path).ready is not None)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    eventually(lambda: read(path).stopped is not None)
    assert read(path).reason == "its parent is gone"


def test_a_probe_passes_on_a_sound_service_and_cleans_up(fleet: FakeFleet) -> None:
    window = probe(fleet.endpoint, Yardstick(1.0, INTERVAL, slow_seconds=1.0), Patience(1.0, 5.0, 10.0))
    assert window.reason == ""
    assert live_documents(fleet) == []


def test_a_probe_waits_past_a_bad_start_for_a_good_window(fleet: FakeFleet) -> None:
    yardstick = Yardstick(1.0, INTERVAL, slow_seconds=1.0)
    with ThreadPoolExecutor(1) as apart:
        probing = apart.submit(probe, fleet.endpoint, yardstick, Patience(0.5, 5.0, 20.0))
        eventually(lambda: b"/note/" in fleet.log.read_bytes() if fleet.log.exists() else False)
        fleet.hang(True)
        hung = len(fleet.log.read_bytes())
        wait([probing], 1.5)
        fleet.hang(False)
        window = probing.result(timeout=30)
    assert window.reason == ""
    assert len(fleet.log.read_bytes()) > hung


def test_a_probe_that_sees_no_good_window_says_why(fleet: FakeFleet) -> None:
    window = probe(fleet.endpoint, Yardstick(0.5, INTERVAL, slow_seconds=0.0), Patience(1.0, 5.0, 1.5))
    assert "slower than 0 ms" in window.reason


def test_a_probe_fails_on_a_service_that_is_down(fleet: FakeFleet) -> None:
    fleet.kill()
    with pytest.raises(ObserverError):
        probe(fleet.endpoint, Yardstick(1.0, INTERVAL), Patience(0.5, 0.5))


def live_documents(fleet: FakeFleet) -> list[str]:
    live = {}
    for line in fleet.log.read_text().splitlines():
        for document in json.loads(line):
            live[document["source_id"]] = not document.get("delete")
    return [source_id for source_id, lives in live.items() if lives]


def test_freshness_times_every_write_and_cleans_up(fleet: FakeFleet) -> None:
    found = measure_freshness(fleet.endpoint, Writes(10, 250, interval_seconds=0.02, within_seconds=20.0))
    assert (found.writes, found.found) == (10, 10)
    assert found.median_seconds is not None
    assert found.longest_seconds is not None
    assert 0 < found.median_seconds <= found.longest_seconds
    entries = [json.loads(line) for line in fleet.log.read_text().splitlines()]
    assert sorted(len(one) for one in entries if "-beside/" in one[0]["source_id"] and "text" in one[0]) == [
        50,
        100,
        100,
    ]
    assert live_documents(fleet) == []


def test_freshness_of_a_service_that_is_down_finds_nothing(fleet: FakeFleet) -> None:
    fleet.kill()
    found = measure_freshness(fleet.endpoint, Writes(2, 0, interval_seconds=0.01, within_seconds=0.2))
    assert (found.found, found.median_seconds) == (0, None)
