"""A changed launch template reaches a fleet cell by cell while it serves, and a bad one stops at the first cell."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rehearsal import deploy
from rehearsal.emulator.launch import PROJECT
from rehearsal.fleet import all_ready, await_status, replicas
from service.client import Client, ServiceError, Unanswered
from tests.e2e.rehearsal import STEP_SECONDS, Rehearsal
from tests.rehearsal.programs.project import client, real_project

PAUSE_SECONDS = 0.05
REPLICAS = 2
ORDER = ["cell 0a", "cell 1a", "cell 0b", "cell 1b"]
NEVER_READY_SHARD = "99"


class Trickle:
    """Searches one after the other, and what became of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.complete = 0
        self.wrong: list[str] = []

    @contextmanager
    def running(self) -> Iterator[Trickle]:
        ended = threading.Event()

        def search() -> None:
            while not ended.wait(PAUSE_SECONDS):
                self._one()

        thread = threading.Thread(target=search)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    def _one(self) -> None:
        try:
            answer = self._client.search(text="a machine that is replaced", k=3)
        except (ServiceError, Unanswered) as error:
            self.wrong.append(f"{time.strftime('%X')} {error}")
            return
        if answer["partial"] or len(answer["hits"]) != 3:
            self.wrong.append(f"{time.strftime('%X')} partial or short: {answer}")
        else:
            self.complete += 1


class Standing:
    """A standing rehearsal with its clients."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.root = rehearsal.root
        self.endpoint = f"http://127.0.0.1:{rehearsal.port}"
        self.outputs = rehearsal.outputs()
        self.api = client(self.endpoint)
        self.client = Client(self.outputs["endpoint"], timeout_seconds=5)

    def fill(self) -> None:
        documents = [
            {
                "source_id": f"roll/{number}",
                "title": f"Note {number}",
                "text": f"machine {number} is replaced by another",
            }
            for number in range(40)
        ]
        position = self.client.write(documents)["position"]
        await_status(
            self.client,
            lambda s: all_ready(s, REPLICAS) and all(r["position"] >= position for r in replicas(s)),
            "a filled fleet",
            STEP_SECONDS,
        )

    def roll(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "infra", "roll", "--outputs", str(self.root / "outputs.json")]
        done = subprocess.run(
            [*command, "--role", "node", "--warm-up", "1", "--json", *arguments],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def weights(self, *arguments: str) -> tuple[int, list[int]]:
        command = [sys.executable, "-m", "infra", "weights", "--outputs", str(self.root / "outputs.json"), "--json"]
        done = subprocess.run(
            [*command, *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=STEP_SECONDS, check=False
        )
        return done.returncode, [slot["weight"] for slot in json.loads(done.stdout or "[]")]

    def groups(self) -> list[dict[str, Any]]:
        names = [cell["group"] for cell in self.outputs["cells"]]
        answer = self.api("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=names)
        return list(answer["AutoScalingGroups"])

    def versions(self) -> Counter[str]:
        """Template versions of the cells and of their instances."""
        groups = self.groups()
        instances = [row["LaunchTemplate"]["Version"] for group in groups for row in group["Instances"]]
        return Counter([*(group["LaunchTemplate"]["Version"] for group in groups), *instances])

    def make_versions_that_never_get_ready(self) -> None:
        """New versions whose nodes look for a shard that no build has, and hooks that give up on them soon."""
        ec2 = self.api("ec2")
        for group in self.groups():
            self.api("autoscaling").put_lifecycle_hook(
                AutoScalingGroupName=group["AutoScalingGroupName"], LifecycleHookName="ready", HeartbeatTimeout=4
            )
            template = group["LaunchTemplate"]["LaunchTemplateId"]
            found = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Latest"])
            data = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
            ec2.create_launch_template_version(
                LaunchTemplateId=template,
                SourceVersion=str(found["LaunchTemplateVersions"][0]["VersionNumber"]),
                LaunchTemplateData={"UserData": _spoiled(data["UserData"])},
            )


def _spoiled(user_data: str) -> str:
    header, _, body = base64.b64decode(user_data).decode().partition("\n")
    config = json.loads(body)
    manifest = json.loads(config["write_files"][0]["content"])
    manifest["environment"]["VECTORFLEET_SHARD"] = NEVER_READY_SHARD
    config["write_files"][0]["content"] = json.dumps(manifest)
    return base64.b64encode(f"{header}\n{json.dumps(config)}".encode()).decode()


@pytest.fixture
def standing(rehearsal: Rehearsal) -> Standing:
    rehearsal.up()
    standing = Standing(rehearsal)
    standing.fill()
    return standing


def test_a_good_version_rolls_and_a_bad_one_stops_while_every_query_is_answered(
    standing: Standing, tmp_path: Path
) -> None:
    with Trickle(standing.client).running() as trickle:
        deploy.up(
            "rehearsal",
            standing.root,
            standing.endpoint,
            project=real_project(tmp_path / "changed", amiId="ami-0fedcba9876543210"),
        )
        assert standing.versions() == {"1": 8}
        code, result = standing.roll()
        assert (code, result["rolled"], result["failed"]) == (0, ORDER, "")
        assert standing.versions() == {"2": 8}
        assert standing.roll() == (0, {**result, "rolled": [], "skipped": ORDER})
        assert standing.weights() == (0, [100, 0])
        # Nobody stands behind green, and nobody is sent there.
        assert standing.weights("--blue", "50", "--green", "50")[0] == 64
        assert standing.weights("--blue", "10", "--green", "0") == (0, [10, 0])

        standing.make_versions_that_never_get_ready()
        before = {row["instance"] for row in replicas(standing.client.status())}
        code, result = standing.roll()
        assert (code, result["failed"], result["rolled_back"]) == (1, "cell 0a", True)
        assert "was abandoned" in result["reason"]
        assert result["untouched"] == ORDER[1:]
        assert standing.versions() == {"2": 8}
    await_status(standing.client, lambda status: all_ready(status, REPLICAS), "a whole fleet", STEP_SECONDS)
    assert {row["instance"] for row in replicas(standing.client.status())} == before
    assert trickle.wrong == []
    assert trickle.complete > 100
