"""The observer against a real small service that is killed, hangs, and restores wrongly."""

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

from runbooks.drills.audit import Audited, AuditError, audit_ledger
from runbooks.drills.evidence import canaries
from runbooks.drills.measure import Marks, Yardstick, measure
from runbooks.exchange import Exchange
from runbooks.ledger import Ledger, LedgerWriter, read_ledger
from runbooks.observer import Observer, ObserverError, ObserverSettings, sweep
from runbooks.probe import Patience, probe
from service.client import Client
from tests.runbooks.observation import INTERVAL, FakeFleet, Observation, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FakeFleet]:
    fake = FakeFleet(tmp_path)
    fake.start()
    yield fake
    fake.kill()


@pytest.fixture
def observation(fleet: FakeFleet, tmp_path: Path) -> Iterator[Observation]:
    observed = Observation(fleet.endpoint, tmp_path / "ledger.jsonl")
    until(lambda: observed.path.stat().st_size > 0 and observed.ledger.ready is not None)
    yield observed
    observed.end()


def audited(fleet: FakeFleet, ledger: Ledger) -> Audited:
    return audit_ledger(Client(fleet.endpoint, timeout_seconds=5), ledger, t0=time.monotonic(), within_seconds=10)


def test_a_healthy_service_gives_good_canaries_and_keeps_every_write(
    fleet: FakeFleet, observation: Observation
) -> None:
    observation.await_canaries(60)
    ledger = observation.end()
    assert {canary.result for canary in canaries(ledger.canaries)} == {"good"}
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
def test_what_a_restore_forgets_or_invents_is_named(
    fleet: FakeFleet, observation: Observation, flaw: str, counts: dict[str, int]
) -> None:
    # The random plan needs a while to have three of each; it has its own seed, so it does every time.
    observation.await_canaries(120)
    fleet.kill()
    observation.await_canaries(10)
    # The log keeps all: a write whose reply was cut off may be there or not, both are legal.
    ledger = observation.end()
    fleet.start(flaw)
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
    found = measure(canaries(ledger.canaries), Marks(injected=killed), Yardstick(1.0, INTERVAL, slow_seconds=1.0))
    assert found.t0 is not None
    assert found.t5 is not None
    assert killed <= found.t0 <= killed + 3 * INTERVAL
    # Searches of a dead loopback port fail at once: the first good one is due about when the port is back.
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


def test_each_intent_is_on_disk_before_the_service_can_have_it(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(40)
    stored = {document["request_id"] for line in fleet.log.read_text().splitlines() for document in json.loads(line)}
    known = observation.path.read_text().count('"record":"intent"')
    assert len(stored) <= known


def test_an_audit_without_an_answer_is_an_error(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(4)
    ledger = observation.end()
    fleet.kill()
    with pytest.raises(AuditError, match="did not say what it holds"):
        audit_ledger(Client(fleet.endpoint, timeout_seconds=1), ledger, t0=0.0, within_seconds=0.5)


def test_an_observer_that_finds_no_service_says_so(tmp_path: Path) -> None:
    settings = ObserverSettings("http://127.0.0.1:9", INTERVAL, timeout_seconds=0.5, plant_seconds=0.5)
    writer = LedgerWriter(tmp_path / "ledger.jsonl")
    with pytest.raises(ObserverError, match="does not take a write"):
        Observer(settings, writer, "test").run(threading.Event())
    writer.close()
    ledger = read_ledger(tmp_path / "ledger.jsonl")
    assert ledger is not None
    assert "does not take a write" in ledger.reason


def test_sweeping_leaves_nothing_of_the_observer(fleet: FakeFleet, observation: Observation) -> None:
    observation.await_canaries(20)
    ledger = observation.end()
    source_ids = sorted({operation.source_id for operation in ledger.writes})
    assert sweep(Exchange(fleet.endpoint, 5.0), ledger.name, source_ids) == len(source_ids)
    documents = Client(fleet.endpoint).lookup(source_ids)["documents"]
    assert set(documents.values()) == {None}


def observe_command(fleet: FakeFleet, path: Path, *more: str) -> list[str]:
    call = [sys.executable, "-m", "runbooks", "observe", "--endpoint", fleet.endpoint]
    return [*call, "--ledger", str(path), "--interval", f"{INTERVAL}s", *more]


def test_the_observer_process_ends_on_sigterm(fleet: FakeFleet, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    process = subprocess.Popen(observe_command(fleet, path), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    until(lambda: path.exists() and path.stat().st_size > 0 and read(path).ready is not None)
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
    until(lambda: path.exists() and path.stat().st_size > 0 and read(path).ready is not None)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until(lambda: read(path).stopped is not None)
    assert read(path).reason == "its parent is gone"


def read(path: Path) -> Ledger:
    ledger = read_ledger(path)
    assert ledger is not None
    return ledger


def test_a_probe_passes_on_a_sound_service_and_tidies_up(fleet: FakeFleet) -> None:
    window = probe(fleet.endpoint, Yardstick(1.0, INTERVAL, slow_seconds=1.0), Patience(1.0, 5.0, 10.0))
    assert window.reason == ""
    live = {}
    for line in fleet.log.read_text().splitlines():
        for document in json.loads(line):
            live[document["source_id"]] = not document.get("delete")
    assert not any(live.values())


def test_a_probe_waits_past_a_bad_beginning_for_a_good_window(fleet: FakeFleet) -> None:
    yardstick = Yardstick(1.0, INTERVAL, slow_seconds=1.0)
    with ThreadPoolExecutor(1) as apart:
        probing = apart.submit(probe, fleet.endpoint, yardstick, Patience(0.5, 5.0, 20.0))
        until(lambda: b"/note/" in fleet.log.read_bytes() if fleet.log.exists() else False)
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
