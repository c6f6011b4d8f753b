"""A place to drill in: groups and an alarm in an emulated AWS, outputs, and the fake fleet that follows it."""

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
import yaml

from runbooks.drills.settings import DrillSettings

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).with_name("fake_fleet.py")
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


def make_alarm(place: Place, name: str) -> None:
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


def make_groups(place: Place) -> Iterator[dict[str, Any]]:
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
    questions = yaml.safe_load((ROOT / "loadtests/corpora/aws_questions.yaml").read_text())[:40]
    lines = []
    for question in questions:
        service, operation = question["operations"][0].split(":")
        source_id = f"aws/{service}/1/{operation}"
        lines.append(json.dumps([{"source_id": source_id, "title": operation, "text": question["question"]}]))
    log.write_text("\n".join(lines) + "\n")
