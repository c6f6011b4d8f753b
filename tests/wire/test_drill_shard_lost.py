"""The whole drill: a fleet of one small process, real EC2 calls to moto, the real page and its commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.drills.result import DrillResult
from runbooks.drills.settings import DrillSettings
from runbooks.drills.shard_lost import run
from runbooks.verdict import Verdict
from tests.runbooks.drill_place import SHARDS, Fleet, Place, await_http, free_port, make_alarm, make_groups

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await_http(f"http://127.0.0.1:{port}/moto-api/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def place(tmp_path: Path, aws_endpoint: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    port = free_port()
    found = Place(tmp_path, tmp_path / "outputs.json", aws_endpoint, f"fleet{port}", port)
    groups = list(make_groups(found))
    alarm = f"{found.fleet}-blue-error-rate"
    make_alarm(found, alarm)
    found.outputs.write_text(
        json.dumps(
            {
                "fleet": found.fleet,
                "region": "us-east-1",
                "slot": "blue",
                "endpoint": f"http://127.0.0.1:{port}",
                "shards": SHARDS,
                "cells": groups,
                "alarms": {"error_rate": alarm},
            }
        )
    )
    (tmp_path / "emulator.json").write_text(json.dumps({"endpoint": aws_endpoint}))
    yield found
    for group in groups:
        found.aws("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=group["group"], ForceDelete=True)


def drill(settings: DrillSettings) -> DrillResult:
    said: list[str] = []
    result = run(settings, said.append)
    print("\n".join(said))
    print(result.reasons)
    return result


def test_the_page_brings_the_shard_back_and_the_drill_passes(place: Place) -> None:
    with Fleet(place, "--boot", "3"):
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
    # More than one, because the observer may touch one again and so make it whole.
    with Fleet(place, "--boot", "1", "--flaw", flaw, "--flaw-count", "4"):
        result = drill(place.settings())
    assert result.verdict is Verdict.FAIL
    assert any(word in sentence for sentence in result.reasons), result.reasons


def test_a_restore_that_loses_answers_turns_the_drill_red(place: Place) -> None:
    with Fleet(place, "--boot", "1", "--flaw", "answers"):
        result = drill(place.settings())
    assert result.verdict is Verdict.FAIL
    assert any("differs from the baseline" in sentence for sentence in result.reasons), result.reasons


def test_a_recovery_that_is_too_slow_turns_the_drill_red(place: Place) -> None:
    with Fleet(place, "--boot", "4"):
        result = drill(place.settings(rto_target_seconds=1.0))
    assert result.verdict is Verdict.FAIL
    assert any("longer than the target of 1s" in sentence for sentence in result.reasons), result.reasons


def test_a_fault_that_nobody_feels_is_void(place: Place) -> None:
    with Fleet(place, follows=False):
        result = drill(place.settings(recover_within_seconds=4.0))
    assert result.verdict is Verdict.VOID
    assert any("No canary failed" in sentence for sentence in result.reasons), result.reasons


def test_a_service_that_is_not_healthy_is_not_broken_further(place: Place) -> None:
    result = drill(place.settings(baseline=place.outputs, healthy_within_seconds=2.0))
    assert result.verdict is Verdict.VOID
    assert result.injection == "none"
    states = place.aws("ec2").describe_instances(Filters=[{"Name": "tag:vectorfleet:fleet", "Values": [place.fleet]}])
    found = [i["State"]["Name"] for r in states["Reservations"] for i in r["Instances"]]
    assert set(found) == {"running"}


def test_a_load_that_ended_before_the_fault_is_void(place: Place) -> None:
    with Fleet(place, "--boot", "1"):
        result = drill(place.settings(load=(sys.executable, "-c", "pass"), baseline=place.outputs))
    assert result.verdict is Verdict.VOID
    assert any("ended before the fault" in sentence for sentence in result.reasons), result.reasons
