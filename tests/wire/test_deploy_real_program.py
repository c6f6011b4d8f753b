"""The repository's own program on the stack `rehearsal`: up, nothing, a change, a kill, and down to nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal import deploy
from tests.rehearsal.programs.project import client, instances_that_get_ready, inventory, real_project, start_apply

CREATED_AT_LEAST = 60


@pytest.fixture(scope="module")
def endpoint(own_emulator: str) -> Iterator[str]:
    """An emulator that only this module's stacks use."""
    with instances_that_get_ready(own_emulator):
        yield own_emulator


@pytest.fixture
def root(tmp_path: Path, endpoint: str) -> Iterator[Path]:
    """A state folder; in the end destroyed, after which the account must hold what it held before."""
    before = inventory(endpoint)
    yield tmp_path / "root"
    deploy.destroy(tmp_path / "root", endpoint)
    assert inventory(endpoint) == before


def outputs(root: Path) -> Any:
    return json.loads((root / "outputs.json").read_text())


def test_up_again_changed_and_down(root: Path, tmp_path: Path, endpoint: str) -> None:
    project = real_project(tmp_path / "project")
    first = deploy.up("rehearsal", root, endpoint, project=project)
    assert first.created >= CREATED_AT_LEAST
    assert outputs(root) == first.outputs
    assert first.outputs["endpoint"].startswith("http://127.64.")

    again = deploy.up("rehearsal", root, endpoint, project=project)
    assert (again.unchanged, again.writes) == (first.created, 0)

    foreseen = deploy.preview("rehearsal", root, endpoint, project=project)
    assert (foreseen.unchanged, foreseen.writes) == (first.created, 0)

    slower = real_project(tmp_path / "slower", alarmPeriodSeconds=30, drainSeconds=7)
    steps: list[deploy.Step] = []
    deploy.up("rehearsal", root, endpoint, steps.append, project=slower)
    changed = {step.type.rpartition(":")[2] for step in steps if step.verb == "update"}
    assert changed >= {"MetricAlarm", "TargetGroup"}
    assert {step.verb for step in steps} == {"same", "update"}
    alarm = client(endpoint)("cloudwatch").describe_alarms(AlarmNames=[first.outputs["alarms"]["retrieval_p95"]])
    assert alarm["MetricAlarms"][0]["Period"] == 30

    image = real_project(tmp_path / "image", alarmPeriodSeconds=30, drainSeconds=7, amiId="ami-0fedcba9876543210")
    rolled = deploy.up("rehearsal", root, endpoint, project=image)
    assert (rolled.created, rolled.replaced, rolled.deleted) == (0, 0, 0)
    # Templates alone: what a group launches from is changed by a roll-out.
    assert rolled.updated == 7
    assert versions(endpoint, rolled.outputs) == {"1"}

    roll_by_hand(endpoint, rolled.outputs)
    objectives = {"retrievalP95Ms": 200, "recoveryTimeSeconds": 90}
    other = {"alarmPeriodSeconds": 30, "drainSeconds": 7, "amiId": "ami-0fedcba9876543210", "objectives": objectives}
    patient = deploy.up("rehearsal", root, endpoint, project=real_project(tmp_path / "patient", **other))
    assert (patient.replaced, patient.updated >= 6) == (0, True)
    assert versions(endpoint, patient.outputs) == {"2"}

    down = deploy.destroy(root, endpoint)
    # The artifact stays for older templates, and goes with its bucket.
    assert (down.deleted, down.retained) == (first.created - 1, 1)
    assert not (root / "deploy.json").exists()
    assert deploy.destroy(root, endpoint).deleted == 0


def test_a_renamed_fleet_is_another_fleet_and_the_old_one_goes(root: Path, tmp_path: Path, endpoint: str) -> None:
    first = deploy.up("rehearsal", root, endpoint, project=real_project(tmp_path / "one"))
    other = real_project(tmp_path / "two", fleet="other", vpcCidr="127.65.0.0/16")
    second = deploy.up("rehearsal", root, endpoint, project=other)
    assert (second.created, second.deleted + second.retained) == (first.created, first.created)


@pytest.mark.parametrize("steps", [12, 60])
def test_killed_in_the_middle_nothing_is_lost(root: Path, tmp_path: Path, endpoint: str, steps: int) -> None:
    project = real_project(tmp_path / "project")
    kill_after(steps, root, endpoint, project)
    finished = deploy.up("rehearsal", root, endpoint, project=project)
    buckets = [name for name in inventory(endpoint)["list_buckets"] if name.startswith("rehearsal-")]
    assert len(buckets) == 4
    assert finished.created >= CREATED_AT_LEAST - steps
    assert finished.unchanged >= steps
    assert deploy.up("rehearsal", root, endpoint, project=project).writes == 0


@pytest.mark.parametrize("steps", [1, 40])
def test_killed_in_the_middle_destroy_removes_all(root: Path, tmp_path: Path, endpoint: str, steps: int) -> None:
    kill_after(steps, root, endpoint, real_project(tmp_path / "project"))
    assert deploy.destroy(root, endpoint).deleted >= steps


def test_an_interrupt_finishes_what_is_under_way_and_can_be_taken_up_again(
    root: Path, tmp_path: Path, endpoint: str
) -> None:
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
    steps: list[deploy.Step] = []
    deploy.up("rehearsal", root, endpoint, steps.append, project=project)
    assert {step.name for step in steps if step.verb == "same"} >= {r["name"] for r in state["live"].values()}
    assert [step for step in steps if step.verb not in ("same", "create")] == []


def groups(found: dict[str, Any]) -> list[str]:
    """Every group of the fleet."""
    return [*(cell["group"] for cell in found["cells"]), found["router_group"], found["indexer_group"]]


def roll_by_hand(endpoint: str, found: dict[str, Any]) -> None:
    """Give every group version 2 of its template, as a roll-out does, behind the program's back."""
    api = client(endpoint)("autoscaling")
    described = api.describe_auto_scaling_groups(AutoScalingGroupNames=groups(found))["AutoScalingGroups"]
    for group in described:
        policy = {"LaunchTemplate": {"LaunchTemplateSpecification": template_of(group) | {"Version": "2"}}}
        api.update_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"], MixedInstancesPolicy=policy)


def template_of(group: dict[str, Any]) -> dict[str, str]:
    """Launch template and version that a group shows; AWS takes no name beside the id."""
    shown = group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    return {name: shown[name] for name in ("LaunchTemplateId", "Version")}


def versions(endpoint: str, found: dict[str, Any]) -> set[str]:
    """The launch template versions of the fleet's groups."""
    answer = client(endpoint)("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=groups(found))
    return {template_of(group)["Version"] for group in answer["AutoScalingGroups"]}


def kill_after(steps: int, root: Path, endpoint: str, project: Path) -> None:
    """Start an apply and kill it -9 when it has reported that many resources."""
    process = start_apply("up", root, endpoint, "--stack", "rehearsal", "--project", str(project))
    assert process.stdout is not None
    with process.stdout as events:
        for _ in range(steps):
            assert json.loads(events.readline())["event"] == "step"
        process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
