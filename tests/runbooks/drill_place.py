"""A place to drill in: groups and an alarm in an emulated AWS, outputs, and the fake fleet that follows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import yaml

from infra.stack.outputs import Cell
from runbooks.drills.settings import DrillSettings
from tests.pages import ROOT
from tests.runbooks.aws_groups import delete_groups, make_alarm, make_groups
from tests.runbooks.fake_fleet_process import FakeFleet
from tests.runbooks.small_pages import PERSON, step, text
from tests.stack_outputs import written

SHARDS = 2
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
QUICK_PAGE = text(
    step(1, "vectorfleet wait --shard-ready --within 30s", "If not: go to 2", "Then: done", budget="40s"),
    step(2, "", PERSON),
    number=2,
)


def client(endpoint: str, service: str) -> Any:
    return boto3.client(service, endpoint_url=endpoint, **KEYS)


class Place:
    """One test's fleet in the shared AWS."""

    def __init__(self, folder: Path, aws_endpoint: str) -> None:
        self.folder = folder
        self.aws_endpoint = aws_endpoint
        self.process = FakeFleet(folder)
        self.fleet = f"fleet{self.process.port}"
        self.cells = [Cell(n, name, "us-east-1a", f"{self.fleet}-{n}{name}") for n in range(SHARDS) for name in "ab"]
        alarm = f"{self.fleet}-blue-error-rate"
        make_groups(self.aws("autoscaling"), self.fleet, self.cells)
        make_alarm(self.aws("cloudwatch"), alarm)
        self.outputs = written(
            folder,
            fleet=self.fleet,
            endpoint=self.process.endpoint,
            shards=SHARDS,
            cells=[vars(cell) for cell in self.cells],
            alarms={"error_rate": alarm},
        )
        (folder / "emulator.json").write_text(json.dumps({"endpoint": aws_endpoint}))
        _seed(self.process.log)

    def aws(self, service: str) -> Any:
        return client(self.aws_endpoint, service)

    def start_fleet(self, *options: str, follows: bool = True) -> None:
        aws = ["--aws", self.aws_endpoint, "--fleet", self.fleet] if follows else []
        self.process.start(*aws, *options)

    def close(self) -> None:
        self.process.kill()
        delete_groups(self.aws("autoscaling"), self.cells)

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


def _seed(log: Path) -> None:
    """Write answers to the first golden questions, so that losing one shows in the relevance."""
    questions = yaml.safe_load((ROOT / "loadtests/corpora/aws_questions.yaml").read_text())[:40]
    lines = []
    for question in questions:
        service, operation = question["operations"][0].split(":")
        source_id = f"aws/{service}/1/{operation}"
        lines.append(json.dumps([{"source_id": source_id, "title": operation, "text": question["question"]}]))
    log.write_text("\n".join(lines) + "\n")
