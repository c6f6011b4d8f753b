"""The whole drill: a fleet of one small process, real EC2 calls to moto, the real page and its commands."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from runbooks.drills.result import DrillResult
from runbooks.drills.settings import DrillSettings
from runbooks.drills.shard_lost import run
from runbooks.verdict import Verdict

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / "tests/runbooks/fake_fleet.py"
SHARDS, REPLICAS = 2, ("a", "b")
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}

QUICK_PAGE = """\
# RB-02 A shard is lost, in short

- Use when: the alarm `…-error-rate` rings.
- Customer sees: partial answers.
- Do not use when: all is well.
- Target: RTO 1m, RPO 0s

## 1. Wait

```sh
python -m runbooks wait --shard-ready --within 30s
```

- Expect: exit 0
- Budget: 40s
- If not: go to 2
- Then: done

## 2. Call

- Person: call.
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def await_http(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:
                reply.read()
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.05)


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


@dataclass(frozen=True)
class Place:
    """One test's fleet in the shared AWS."""

    folder: Path
    outputs: Path
    aws_endpoint: str
    fleet: str
    port: int

    def aws(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.aws_endpoint, **KEYS)

    def settings(self, **changes: Any) -> DrillSettings:
        page = self.folder / "RB-02-quick.md"
        page.write_text(QUICK_PAGE)
        settings = DrillSettings(
            outputs=self.outputs,
            report=self.folder / "report",
            page=page,
            shard=1,
            window_seconds=2.0,
            interval_seconds=0.1,
            slow_seconds=1.0,
            healthy_canaries=20,
            recover_within_seconds=40.0,
            folder=ROOT,
        )
        return replace(settings, **changes)


@pytest.fixture
def place(tmp_path: Path, aws_endpoint: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    port = free_port()
    found = Place(tmp_path, tmp_path / "outputs.json", aws_endpoint, f"fleet{port}", port)
    groups = list(_groups(found))
    alarm = f"{found.fleet}-blue-error-rate"
    _alarm(found, alarm)
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


def _alarm(place: Place, name: str) -> None:
    place.aws("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="vectorfleet",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )


def _groups(place: Place) -> Iterator[dict[str, Any]]:
    ec2, scaling = place.aws("ec2"), place.aws("autoscaling")
    image = ec2.describe_images(MaxResults=1)["Images"][0]["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName=place.fleet, LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    for shard in range(SHARDS):
        for replica in REPLICAS:
            name = f"{place.fleet}-{shard}{replica}"
            tags = {"fleet": place.fleet, "slot": "blue", "role": "node", "shard": str(shard), "replica": replica}
            scaling.create_auto_scaling_group(
                AutoScalingGroupName=name,
                LaunchTemplate={"LaunchTemplateName": place.fleet},
                MinSize=1,
                MaxSize=1,
                DesiredCapacity=1,
                AvailabilityZones=["us-east-1a"],
                Tags=[
                    {"Key": f"vectorfleet:{key}", "Value": value, "PropagateAtLaunch": True}
                    for key, value in tags.items()
                ],
            )
            yield {"shard": shard, "replica": replica, "zone": "us-east-1a", "group": name}


class Fleet:
    """The fake fleet as a process."""

    def __init__(self, place: Place, *more: str, follows: bool = True) -> None:
        aws = ["--aws", place.aws_endpoint, "--fleet", place.fleet] if follows else []
        log = place.folder / "log.jsonl"
        _seed(log)
        command = [sys.executable, str(FAKE), "--port", str(place.port), "--log", str(log), *aws, *more]
        self.process = subprocess.Popen(command)
        await_http(f"http://127.0.0.1:{place.port}/v1/status")

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def _seed(log: Path) -> None:
    """Answers to the first golden questions, so that losing one shows in the relevance."""
    questions = yaml.safe_load((ROOT / "loadtests/golden.yaml").read_text())[:40]
    lines = []
    for question in questions:
        service, operation = question["operations"][0].split(":")
        source_id = f"aws/{service}/1/{operation}"
        lines.append(json.dumps([{"source_id": source_id, "title": operation, "text": question["question"]}]))
    log.write_text("\n".join(lines) + "\n")


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
    with Fleet(place, "--boot", "1", "--flaw", flaw):
        # A delete must have happened before the fault.
        result = drill(place.settings(healthy_canaries=120))
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
