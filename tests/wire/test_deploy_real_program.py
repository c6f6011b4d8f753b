"""The repository's own program on the stack `rehearsal`: up, changed, killed, interrupted and down."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal import deployer
from tests.rehearsal.programs.project import client, instances_that_get_ready, inventory, real_project, start_apply

CREATED_AT_LEAST = 60


@pytest.fixture(scope="module")
def endpoint(own_emulator: str) -> Iterator[str]:
    """Return the endpoint of an emulator for this module's stacks only."""
    with instances_that_get_ready(own_emulator):
        yield own_emulator


@pytest.fixture
def root(tmp_path: Path, endpoint: str) -> Iterator[Path]:
    """Yield a state folder. Destroy its stack in the end, and check that the account is as it was before."""
    before = inventory(endpoint)
    yield tmp_path / "root"
    deployer.destroy(tmp_path / "root", endpoint)
    assert inventory(endpoint) == before


def outputs(root: Path) -> Any:
    return json.loads((root / "outputs.json").read_text())


def test_up_unchanged_changed_and_down(root: Path, tmp_path: Path, endpoint: str) -> None:
    project = real_project(tmp_path / "project")
    first = deployer.up("rehearsal", root, endpoint, project=project)
    assert first.created >= CREATED_AT_LEAST
    assert outputs(root) == first.outputs
    assert first.outputs["endpoint"].startswith("http://127.64.")

    again = deployer.up("rehearsal", root, endpoint, project=project)
    assert (again.unchanged, again.writes) == (first.created, 0)

    foreseen = deployer.preview("rehearsal", root, endpoint, project=project)
    assert (foreseen.unchanged, foreseen.writes) == (first.created, 0)

    slower = real_project(tmp_path / "slower", alarmPeriodSeconds=30, drainSeconds=7)
    steps: list[deployer.Step] = []
    deployer.up("rehearsal", root, endpoint, steps.append, project=slower)
    changed = {step.type.rpartition(":")[2] for step in steps if step.verb == "update"}
    assert changed >= {"MetricAlarm", "TargetGroup"}
    assert {step.verb for step in steps} == {"same", "update"}
    alarm = client(endpoint)("cloudwatch").describe_alarms(
        AlarmNames=[first.outputs["slots"]["blue"]["alarms"]["retrieval_p95"]]
    )
    assert alarm["MetricAlarms"][0]["Period"] == 30

    image = real_project(tmp_path / "image", alarmPeriodSeconds=30, drainSeconds=7, amiId="ami-0fedcba9876543210")
    rolled = deployer.up("rehearsal", root, endpoint, project=image)
    assert (rolled.created, rolled.replaced, rolled.deleted) == (0, 0, 0)
    # Templates only: a roll-out changes the version that a group launches.
    assert rolled.updated == 7
    assert versions(endpoint, rolled.outputs) == {"1"}

    roll_by_hand(endpoint, rolled.outputs)
    objectives = {"retrievalP95Ms": 200, "recoveryTimeSeconds": 90}
    other = {"alarmPeriodSeconds": 30, "drainSeconds": 7, "amiId": "ami-0fedcba9876543210", "objectives": objectives}
    patient = deployer.up("rehearsal", root, endpoint, project=real_project(tmp_path / "patient", **other))
    assert (patient.replaced, patient.updated >= 6) == (0, True)
    assert versions(endpoint, patient.outputs) == {"2"}

    down = deployer.destroy(root, endpoint)
    # The artifact is retained for older templates, and goes with its bucket.
    assert (down.deleted, down.retained) == (first.created - 1, 1)
    assert not (root / "deploy.json").exists()
    assert deployer.destroy(root, endpoint).deleted == 0


def test_a_renamed_fleet_replaces_the_old_one(root: Path, tmp_path: Path, endpoint: str) -> None:
    first = deployer.up("rehearsal", root, endpoint, project=real_project(tmp_path / "one"))
    other = real_project(tmp_path / "two", fleet="other", vpcCidr="127.65.0.0/16")
    second = deployer.up("rehearsal", root, endpoint, project=other)
    assert (second.created, second.deleted + second.retained) == (first.created, first.created)


@pytest.mark.parametrize("steps", [12, 60])
def test_up_after_a_kill_loses_nothing(root: Path, tmp_path: Path, endpoint: str, steps: int) -> None:
    project = real_project(tmp_path / "project")
    kill_after(steps, root, endpoint, project)
    finished = deployer.up("rehearsal", root, endpoint, project=project)
    buckets = [name for name in inventory(endpoint)["list_buckets"] if name.startswith("rehearsal-")]
    assert len(buckets) == 4
    assert finished.created >= CREATED_AT_LEAST - steps
    assert finished.unchanged >= steps
    assert deployer.up("rehearsal", root, endpoint, project=project).writes == 0


@pytest.mark.parametrize("steps", [1, 40])
def test_destroy_after_a_kill_removes_everything(root: Path, tmp_path: Path, endpoint: str, steps: int) -> None:
    kill_after(steps, root, endpoint, real_project(tmp_path / "project"))
    assert deployer.destroy(root, endpoint).deleted >= steps


def test_up_continues_after_an_interrupt(root: Path, tmp_path: Path, endpoint: str) -> None:
    project = real_project(tmp_path / "project")
    process = start_apply("up", root, endpoint, "--stack", "rehearsal", "--project", str(project))
    assert process.stdout is not None
    with process.stdout as events:
        for _ in range(20):
            events.readline()
        process.send_signal(signal.SIGINT)
        last = json.loads(events.readlines()[-1])
    assert process.wait(timeout=30) == 1
    assert last["event"] == "failure"
    assert last["message"].startswith("interrupted")
    state = json.loads((root / "deploy.json").read_text())
    assert state["announced"] == {}
    steps: list[deployer.Step] = []
    deployer.up("rehearsal", root, endpoint, steps.append, project=project)
    assert {step.name for step in steps if step.verb == "same"} >= {r["name"] for r in state["live"].values()}
    assert [step for step in steps if step.verb not in ("same", "create")] == []


def groups(found: dict[str, Any]) -> list[str]:
    """Return every group of the fleet."""
    slots = found["slots"].values()
    return [
        group
        for slot in slots
        for group in (*(cell["group"] for cell in slot["cells"]), slot["router_group"], slot["indexer_group"])
    ]


def roll_by_hand(endpoint: str, found: dict[str, Any]) -> None:
    """Give every group version 2 of its template, as a roll-out does, without the program."""
    api = client(endpoint)("autoscaling")
    described = api.describe_auto_scaling_groups(AutoScalingGroupNames=groups(found))["AutoScalingGroups"]
    for group in described:
        policy = {"LaunchTemplate": {"LaunchTemplateSpecification": template_of(group) | {"Version": "2"}}}
        api.update_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"], MixedInstancesPolicy=policy)


def template_of(group: dict[str, Any]) -> dict[str, str]:
    """Return id and version of a group's launch template. AWS refuses a name beside the id."""
    shown = group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    return {name: shown[name] for name in ("LaunchTemplateId", "Version")}


def versions(endpoint: str, found: dict[str, Any]) -> set[str]:
    """Return the launch template versions of the fleet's groups."""
    answer = client(endpoint)("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=groups(found))
    return {template_of(group)["Version"] for group in answer["AutoScalingGroups"]}


def kill_after(steps: int, root: Path, endpoint: str, project: Path) -> None:
    """Start an apply and kill it with SIGKILL after it has reported that many resources."""
    process = start_apply("up", root, endpoint, "--stack", "rehearsal", "--project", str(project))
    assert process.stdout is not None
    with process.stdout as events:
        for _ in range(steps):
            assert json.loads(events.readline())["event"] == "step"
        process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
