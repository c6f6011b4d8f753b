"""Whole drills: a fleet of one small process, EC2 calls to moto, the real page and its commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.emulator.launch import free_port
from runbooks.drills.result import DrillResult
from runbooks.drills.settings import DrillSettings
from runbooks.drills.shard_lost import run
from tests.runbooks.aws_groups import make_template
from tests.runbooks.drill_place import Place, client
from tests.runbooks.fake_fleet_process import eventually, listens
from vectorfleet.verdicts import Verdict


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: listens(port))
        endpoint = f"http://127.0.0.1:{port}"
        make_template(client(endpoint, "ec2"))
        yield endpoint
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def place(tmp_path: Path, aws_endpoint: str) -> Iterator[Place]:
    found = Place(tmp_path, aws_endpoint)
    yield found
    found.close()


def drill(settings: DrillSettings) -> DrillResult:
    said: list[str] = []
    result = run(settings, said.append)
    print("\n".join(said))
    print(result.reasons)
    return result


def test_the_page_brings_the_shard_back_and_the_drill_passes(place: Place) -> None:
    # The page has to see the missing shard first, also on a busy machine.
    place.start_fleet("--boot", "6")
    result = drill(place.settings(page=DrillSettings(place.outputs).page, recover_within_seconds=120.0))
    assert result.verdict is Verdict.PASS, result.reasons
    assert result.runbook is not None
    assert [(visit.name, visit.verdict) for visit in result.runbook.visits] == [
        (name, Verdict.PASS) for name in ("see", "groups", "wait", "golden", "probe")
    ]
    assert result.runbook.not_run == (6, 7)
    recovery = result.recovery
    assert recovery is not None
    assert recovery.rto_seconds is not None
    assert 2.0 < recovery.rto_seconds < 30.0
    parts = recovery.phases
    known = [parts.detect_seconds, parts.restore_seconds, parts.validate_seconds, parts.traffic_seconds]
    assert sum(part for part in known if part is not None) == pytest.approx(recovery.rto_seconds)
    assert result.audited is not None
    assert result.audited.losses.none
    assert result.golden is not None
    assert result.golden.equal is True
    assert result.alarm == "did not fire"
    written = json.loads((place.folder / "report/drill.json").read_text())
    assert written["verdict"] == "PASS"
    assert written["losses"]["sentence"].startswith("no acknowledged write lost: RPO ≤")


@pytest.mark.parametrize(("flaw", "word"), [("lose", "are lost"), ("resurrect", "came back")])
def test_a_restore_that_forgets_turns_the_drill_red(place: Place, flaw: str, word: str) -> None:
    # More than one, because the observer may write one again and so repair it.
    place.start_fleet("--boot", "1", "--flaw", flaw, "--flaw-count", "4")
    result = drill(place.settings())
    assert result.verdict is Verdict.FAIL
    assert any(word in sentence for sentence in result.reasons), result.reasons


def test_a_restore_that_loses_answers_turns_the_drill_red(place: Place) -> None:
    place.start_fleet("--boot", "1", "--flaw", "answers")
    result = drill(place.settings())
    assert result.verdict is Verdict.FAIL
    assert any("differs from the baseline" in sentence for sentence in result.reasons), result.reasons


def test_a_recovery_that_is_too_slow_turns_the_drill_red(place: Place) -> None:
    place.start_fleet("--boot", "4")
    result = drill(place.settings(rto_target_seconds=1.0))
    assert result.verdict is Verdict.FAIL
    assert any("longer than the target of 1s" in sentence for sentence in result.reasons), result.reasons


def test_a_fault_without_effect_is_void(place: Place) -> None:
    place.start_fleet(follows=False)
    result = drill(place.settings(recover_within_seconds=4.0))
    assert result.verdict is Verdict.VOID
    assert any("No canary failed" in sentence for sentence in result.reasons), result.reasons


def test_an_unhealthy_service_is_not_broken(place: Place) -> None:
    result = drill(place.settings(baseline=place.outputs, healthy_within_seconds=2.0))
    assert result.verdict is Verdict.VOID
    assert result.injection is None
    states = place.aws("ec2").describe_instances(Filters=[{"Name": "tag:vectorfleet:fleet", "Values": [place.fleet]}])
    found = [i["State"]["Name"] for r in states["Reservations"] for i in r["Instances"]]
    assert set(found) == {"running"}


def test_a_load_that_ended_before_the_fault_is_void(place: Place) -> None:
    place.start_fleet("--boot", "1")
    result = drill(place.settings(load=(sys.executable, "-c", "pass"), baseline=place.outputs))
    assert result.verdict is Verdict.VOID
    assert any("ended before the fault" in sentence for sentence in result.reasons), result.reasons
