"""`vectorfleet index now` on a batch fleet whose indexer runs in an Auto Scaling group."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.boot import artifact
from infra.boot.user_data import Role, encode, manifest
from runbooks.fleet.batches import OWN_END
from runbooks.observe.freshness import Writes, measure_freshness
from tests.stack_outputs import written
from tests.wire.machines import computing
from tests.wire.service_fleet import (
    PROJECT,
    ServiceFleet,
    aws_environment,
    documents,
    eventually,
    new_bucket,
    new_fleet,
)

Connect = Callable[[str], Any]
GROUP = "batch-indexer"
LAG_SECONDS = 6300


@dataclass
class BatchFleet:
    """A fleet with batch indexing, and the group of its indexer."""

    service: ServiceFleet
    scaling: Any
    outputs: Path

    def make_group(self, connect: Connect) -> None:
        """Make the group with an instance, which makes the first build."""
        name = self.service.name
        role = Role("indexer", name, "blue", "us-east-1", f"/vectorfleet/{name}")
        made, bucket = artifact.build(), new_bucket(connect, "artifacts")
        connect("s3").put_object(Bucket=bucket, Key=made.key, Body=made.content)
        data = encode(manifest(role, bucket=bucket, key=made.key, sha256=made.sha256))
        template = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro", "UserData": data}
        connect("ec2").create_launch_template(LaunchTemplateName=GROUP, LaunchTemplateData=template)
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            LaunchTemplate={"LaunchTemplateName": GROUP, "Version": "$Latest"},
            MinSize=0,
            MaxSize=1,
            DesiredCapacity=1,
            VPCZoneIdentifier=self.service.subnet,
            Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in role.tags().items()],
        )

    @property
    def instances(self) -> list[str]:
        (group,) = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
        assert len(group["Instances"]) == group["DesiredCapacity"]
        return [one["InstanceId"] for one in group["Instances"]]

    @property
    def runs_an_indexer(self) -> bool:
        rows = json.loads(self.outputs.with_name("compute.json").read_text())["instances"]
        return "indexer" in [row["role"] for row in rows]

    def schedule(self, *, begin_minutes: float, end_minutes: float) -> None:
        """Put the actions of a schedule, so many minutes from now."""
        for name, minutes, size in (("Indexer-begin", begin_minutes, 1), ("Indexer-end", end_minutes, 0)):
            self.scaling.put_scheduled_update_group_action(
                AutoScalingGroupName=GROUP,
                ScheduledActionName=name,
                StartTime=datetime.now(UTC) + timedelta(minutes=minutes),
                DesiredCapacity=size,
            )

    def actions(self) -> set[str]:
        found = self.scaling.describe_scheduled_actions(AutoScalingGroupName=GROUP)["ScheduledUpdateGroupActions"]
        return {one["ScheduledActionName"] for one in found}

    def write(self, name: str) -> None:
        self.service.client().write(documents([name], f"The {name} is written between two batches"))

    def finds(self, name: str) -> bool:
        hits = self.service.client().search(text=f"Note {name}", k=20)["hits"]
        return name in [hit["source_id"] for hit in hits]

    def index_now(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Return exit code, result and messages of the verb."""
        argv = [sys.executable, "-m", "vectorfleet", "index", "now", "--outputs", str(self.outputs), "--json"]
        environment = {**os.environ, **aws_environment(self.service.endpoint)}
        done = subprocess.run(
            [*argv, *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture
def batch(standing: BatchFleet) -> BatchFleet:
    """The fleet between two batches; a terminated instance has a process for a moment longer."""
    standing.scaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=0)
    eventually(lambda: not standing.runs_an_indexer, "a fleet without an indexer")
    return standing


@pytest.fixture(scope="module")
def standing(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchFleet]:
    """A fleet that has its first build."""
    root = tmp_path_factory.mktemp("batch")
    service = new_fleet(connect, emulator, root / "fleet", shards=2)
    service.configure(replicas=1)
    values = {"shards": 2, "replicas": 1, "metrics_period_seconds": 10, "access_keys": ""}
    service.parameter("fleet", values | {"lag_seconds": LAG_SECONDS, "indexing": "batch"})
    outputs = root / "outputs.json"
    subject = BatchFleet(service, connect("autoscaling"), outputs)
    with computing(emulator, root):
        subject.make_group(connect)
        try:
            service.add("router")
            for shard in range(2):
                service.add("node", shard, "a")
            for member in service.members:
                member.start()
            service.await_ready()
            written(root, endpoint=service.routers[0].url, shards=2, indexer_group=GROUP)
            yield subject
        finally:
            service.stop()
            subject.scaling.delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)


def test_a_batch_now_finds_writes_and_ends_the_indexer(batch: BatchFleet) -> None:
    batch.schedule(begin_minutes=60, end_minutes=105)
    batch.write("lighthouse")
    assert not batch.finds("lighthouse")
    code, result, said = batch.index_now("--timeout", "240")
    assert (code, result["covered"], result["indexer"]) == (0, True, "ended"), said
    assert result["position"] == result["head"] == batch.service.client().status()["head"]
    assert result["rows"] >= 1
    assert batch.finds("lighthouse")
    assert batch.instances == []
    assert batch.actions() == {"Indexer-begin", "Indexer-end"}


def test_writes_wait_for_the_batch_and_are_all_found(batch: BatchFleet) -> None:
    batch.schedule(begin_minutes=60, end_minutes=105)
    endpoint = batch.service.routers[0].url
    early = measure_freshness(endpoint, Writes(1, 0, interval_seconds=0.01, within_seconds=1.0))
    assert (early.writes, early.found) == (1, 0)
    with ThreadPoolExecutor(1) as apart:
        head = batch.service.client().status()["head"]
        timing = apart.submit(measure_freshness, endpoint, Writes(5, 200, interval_seconds=0.01, within_seconds=300.0))
        eventually(lambda: batch.service.client().status()["head"] > head, "an entry of the writes")
        assert batch.index_now("--timeout", "240")[0] == 0
        # Writes are put together into entries, and one that came after the first look waits for the next batch.
        assert batch.index_now("--timeout", "240")[0] == 0
        assert timing.result(timeout=400).found == 5


def test_a_running_batch_of_the_schedule_goes_on(batch: BatchFleet) -> None:
    batch.schedule(begin_minutes=60, end_minutes=30)
    batch.scaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=1)
    running = batch.instances
    batch.write("harbour")
    code, result, said = batch.index_now("--timeout", "240")
    assert (code, result["indexer"]) == (0, "left to the schedule"), said
    assert batch.finds("harbour")
    assert batch.instances == running
    assert OWN_END not in batch.actions()


def test_a_batch_without_a_wait_ends_by_itself(batch: BatchFleet) -> None:
    batch.schedule(begin_minutes=600, end_minutes=645)
    batch.write("anchor")
    code, result, said = batch.index_now("--no-wait", "--timeout", "600")
    assert (code, result["covered"], result["indexer"]) == (0, False, "runs"), said
    assert OWN_END in batch.actions()
    eventually(lambda: batch.finds("anchor"), "the document is found")
    assert batch.index_now()[1]["indexer"] == "ended"
    assert (batch.instances, OWN_END in batch.actions()) == ([], False)


def test_time_over_is_a_failure_with_its_reason(batch: BatchFleet) -> None:
    batch.schedule(begin_minutes=600, end_minutes=645)
    batch.scaling.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch"])
    batch.write("ballast")
    code, result, said = batch.index_now("--timeout", "2")
    assert (code, result["covered"], result["positions_behind"]) == (1, False, 1)
    assert "Still not after 2s: searches reflect position" in said
    assert "the indexer is scheduled" in said
    batch.scaling.resume_processes(AutoScalingGroupName=GROUP)
    assert batch.index_now("--timeout", "240")[0] == 0
    assert batch.finds("ballast")
