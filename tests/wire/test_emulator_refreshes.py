"""Instance refreshes of the emulator: launch before terminate, roll back, stop at an alarm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.fleet import Fleet, eventually, unique
from tests.wire.test_emulator_lifecycle import complete, hook, members
from tests.wire.test_emulator_server import post

Connect = Callable[[str], Any]
CAREFUL = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200, "InstanceWarmup": 0, "SkipMatching": True}


class Subject:
    """A group of version 1 of a template that has two."""

    def __init__(self, fleet: Fleet, connect: Connect, group: str, template: str) -> None:
        self.fleet, self.group, self.template = fleet, group, template
        self.connect = connect
        self.api = connect("autoscaling")

    def start(self, version: str = "2", **preferences: Any) -> str:
        """Start a refresh to a version, and return its id."""
        answer = self.api.start_instance_refresh(
            AutoScalingGroupName=self.group,
            DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateId": self.template, "Version": version}},
            Preferences=CAREFUL | preferences,
        )
        return str(answer["InstanceRefreshId"])

    def refresh(self) -> dict[str, Any]:
        """The newest refresh."""
        found = self.api.describe_instance_refreshes(AutoScalingGroupName=self.group)["InstanceRefreshes"]
        return dict(found[0])

    def ends_as(self, status: str) -> dict[str, Any]:
        """Wait for the newest refresh's end."""
        eventually(lambda: self.refresh()["Status"] == status)
        return self.refresh()

    def described(self) -> dict[str, Any]:
        """The group."""
        answer = self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[self.group])
        return dict(answer["AutoScalingGroups"][0])

    def versions(self) -> dict[str, str]:
        """Return the template versions by instance."""
        return {row["InstanceId"]: row["LaunchTemplate"]["Version"] for row in self.described()["Instances"]}

    def waiting(self) -> list[str]:
        """Return the instances that wait for a hook."""
        return [name for name, state in members(self.connect, self.group).items() if state == "Pending:Wait"]


@contextmanager
def subject(fleet: Fleet, connect: Connect, size: int = 1, *, version: str = "1", **more: Any) -> Iterator[Subject]:
    """Return a group at its maximum size."""
    template = fleet.template("first")
    connect("ec2").create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"UserData": "c2Vjb25k"}
    )
    settings = {"MinSize": size, "MaxSize": size, **more}
    with fleet.group(template, size, version=version, **settings) as group:
        yield Subject(fleet, connect, group, template)


def test_a_group_at_its_maximum_launches_before_it_terminates(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect, LifecycleHookSpecificationList=[hook()]) as cell:
        (old,) = cell.versions()
        complete(connect, cell.group, old, "CONTINUE")
        cell.start()
        (new,) = eventually(cell.waiting)
        assert cell.versions() == {old: "1", new: "2"}
        running = cell.refresh()
        assert (running["Status"], running["PercentageComplete"], running["InstancesToUpdate"]) == ("InProgress", 0, 1)
        assert cell.described()["LaunchTemplate"]["Version"] == "1"
        complete(connect, cell.group, new, "CONTINUE")
        done = cell.ends_as("Successful")
        assert (done["PercentageComplete"], done["InstancesToUpdate"]) == (100, 0)
        assert done["EndTime"] >= done["StartTime"]
        assert cell.versions() == {new: "2"}
        assert cell.described()["LaunchTemplate"]["Version"] == "2"
        assert [row["InstanceId"] for row in fleet.instances(cell.group)] == [new]


def test_a_replacement_during_a_refresh_has_the_new_version(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect) as cell:
        cell.start(InstanceWarmup=600)
        new = next(name for name, version in cell.versions().items() if version == "2")
        connect("ec2").terminate_instances(InstanceIds=[new])
        assert sorted(cell.versions().values()) == ["1", "2"]
        assert cell.refresh()["Status"] == "InProgress"


def test_the_warm_up_holds_the_old_instance(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect) as cell:
        (old,) = cell.versions()
        started = time.monotonic()
        cell.start(InstanceWarmup=3)
        eventually(lambda: len(members(connect, cell.group)) == 2)
        assert set(members(connect, cell.group).values()) == {"InService"}
        cell.ends_as("Successful")
        assert time.monotonic() - started >= 3
        assert old not in cell.versions()


def test_without_room_above_a_group_is_replaced_one_by_one(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect, 3) as group:
        fewest = 3

        def done() -> bool:
            nonlocal fewest
            fewest = min(fewest, sum(version == "1" for version in group.versions().values()))
            assert len(group.versions()) <= 3
            return bool(group.refresh()["Status"] == "Successful")

        group.api.start_instance_refresh(
            AutoScalingGroupName=group.group,
            DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateId": group.template, "Version": "2"}},
            Preferences={"InstanceWarmup": 0},
        )
        eventually(done)
        assert list(group.versions().values()) == ["2", "2", "2"]
        assert fewest == 0


@contextmanager
def with_a_newcomer_in_the_hook(fleet: Fleet, connect: Connect, **more: Any) -> Iterator[tuple[Subject, str, str]]:
    """Begin the refresh of a cell; return it, its old instance, and the new one that waits for the hook."""
    with subject(fleet, connect, LifecycleHookSpecificationList=[hook()], **more) as cell:
        (old,) = cell.versions()
        complete(connect, cell.group, old, "CONTINUE")
        cell.start()
        (new,) = eventually(cell.waiting)
        yield cell, old, new


def stays_under_way(connect: Connect, cell: Subject, old: str, new: str) -> None:
    """Check for some steps of the refresh that both instances are in service."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert members(connect, cell.group) == {old: "InService", new: "InService"}
        assert (cell.refresh()["Status"], cell.refresh()["PercentageComplete"]) == ("InProgress", 0)
        time.sleep(0.1)


def test_the_old_instance_stays_while_the_new_one_is_unhealthy(fleet: Fleet, connect: Connect) -> None:
    with with_a_newcomer_in_the_hook(fleet, connect) as (cell, old, new):

        def find(health: str) -> None:
            cell.api.set_instance_health(InstanceId=new, HealthStatus=health, ShouldRespectGracePeriod=False)

        # Else the group would replace it at once.
        cell.api.suspend_processes(AutoScalingGroupName=cell.group, ScalingProcesses=["ReplaceUnhealthy"])
        find("Unhealthy")
        complete(connect, cell.group, new, "CONTINUE")
        stays_under_way(connect, cell, old, new)
        find("Healthy")
        cell.ends_as("Successful")
        assert cell.versions() == {new: "2"}


def test_the_old_instance_stays_until_the_new_target_is_healthy(fleet: Fleet, connect: Connect, emulator: str) -> None:
    targets = fleet.target_group()
    # In its grace period an instance is not replaced for it.
    settings = {"TargetGroupARNs": [targets], "HealthCheckType": "ELB", "HealthCheckGracePeriod": 600}
    with with_a_newcomer_in_the_hook(fleet, connect, **settings) as (cell, old, new):

        def find(state: str) -> None:
            both = {old: "healthy", new: state}
            given = [{"target_group": targets, "id": name, "state": seen} for name, seen in both.items()]
            assert post(f"{emulator}/_vectorfleet/target-health", {"targets": given}) == (200, {"targets": 2})

        find("unhealthy")
        complete(connect, cell.group, new, "CONTINUE")
        stays_under_way(connect, cell, old, new)
        find("healthy")
        cell.ends_as("Successful")
        assert cell.versions() == {new: "2"}


def quiet_alarm(connect: Connect) -> str:
    """Return an alarm that never goes to ALARM by itself."""
    name = unique("p95")
    connect("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="test",
        MetricName=name,
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    return name


def test_an_alarm_rolls_back_while_the_old_instance_serves(fleet: Fleet, connect: Connect) -> None:
    name, cloudwatch = quiet_alarm(connect), connect("cloudwatch")
    with subject(fleet, connect) as cell:
        (old,) = cell.versions()
        cell.start(InstanceWarmup=600, AutoRollback=True, AlarmSpecification={"Alarms": [name]})
        eventually(lambda: len(cell.versions()) == 2)
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="slow")
        done = cell.ends_as("RollbackSuccessful")
        assert done["StatusReason"] == f"CloudWatch alarm {name} is in the ALARM state."
        assert done["RollbackDetails"]["RollbackReason"] == done["StatusReason"]
        assert cell.versions() == {old: "1"}
        assert cell.described()["LaunchTemplate"]["Version"] == "1"
    with subject(fleet, connect) as other:
        other.start(InstanceWarmup=600, AlarmSpecification={"Alarms": [name]})
        assert other.refresh()["Status"] == "Failed"


def test_a_refresh_bakes_and_then_the_group_has_the_new_template(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect) as cell:
        cell.start(BakeTime=3)
        baking = cell.ends_as("Baking")
        arrived = time.monotonic()
        assert (baking["PercentageComplete"], baking["InstancesToUpdate"]) == (100, 0)
        assert (baking["Preferences"]["BakeTime"], "EndTime" in baking) == (3, False)
        assert list(cell.versions().values()) == ["2"]
        assert cell.described()["LaunchTemplate"]["Version"] == "1"
        cell.ends_as("Successful")
        assert time.monotonic() - arrived >= 2
        assert cell.described()["LaunchTemplate"]["Version"] == "2"


def test_an_alarm_while_it_bakes_rolls_back(fleet: Fleet, connect: Connect) -> None:
    name = quiet_alarm(connect)
    with subject(fleet, connect) as cell:
        cell.start(BakeTime=600, AutoRollback=True, AlarmSpecification={"Alarms": [name]})
        cell.ends_as("Baking")
        connect("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="slow")
        done = cell.ends_as("RollbackSuccessful")
        assert done["RollbackDetails"]["PercentageCompleteOnRollback"] == 100
        assert list(cell.versions().values()) == ["1"]


def test_a_baking_refresh_can_be_rolled_back_or_cancelled(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect) as cell:
        cell.start(BakeTime=600)
        cell.ends_as("Baking")
        cell.api.rollback_instance_refresh(AutoScalingGroupName=cell.group)
        cell.ends_as("RollbackSuccessful")
        assert list(cell.versions().values()) == ["1"]
        cell.start(BakeTime=600)
        cell.ends_as("Baking")
        cell.api.cancel_instance_refresh(AutoScalingGroupName=cell.group)
        cell.ends_as("Cancelled")
        assert (list(cell.versions().values()), cell.described()["LaunchTemplate"]["Version"]) == (["2"], "1")


def test_a_requested_rollback_ends_the_new_instance(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect, LifecycleHookSpecificationList=[hook()]) as cell:
        (old,) = cell.versions()
        complete(connect, cell.group, old, "CONTINUE")
        cell.start()
        eventually(cell.waiting)
        cell.api.rollback_instance_refresh(AutoScalingGroupName=cell.group)
        cell.ends_as("RollbackSuccessful")
        assert members(connect, cell.group) == {old: "InService"}
        connect("ec2").terminate_instances(InstanceIds=[old])
        assert list(cell.versions().values()) == ["1"]


def test_a_cancelled_refresh_leaves_the_groups_template(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect, LifecycleHookSpecificationList=[hook()]) as cell:
        (old,) = cell.versions()
        complete(connect, cell.group, old, "CONTINUE")
        started = cell.start()
        answer = cell.api.cancel_instance_refresh(AutoScalingGroupName=cell.group)
        assert answer["InstanceRefreshId"] == started
        cell.ends_as("Cancelled")
        assert cell.versions() == {old: "1"}
        for call in (cell.api.cancel_instance_refresh, cell.api.rollback_instance_refresh):
            with pytest.raises(ClientError, match="ActiveInstanceRefreshNotFound"):
                call(AutoScalingGroupName=cell.group)


def test_a_second_refresh_is_refused(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect) as cell:
        cell.start(InstanceWarmup=600)
        with pytest.raises(ClientError, match="InstanceRefreshInProgress"):
            cell.start()
        with pytest.raises(ClientError, match="An active instance refresh with a desired configuration exists"):
            cell.api.update_auto_scaling_group(
                AutoScalingGroupName=cell.group,
                LaunchTemplate={"LaunchTemplateId": cell.template, "Version": "1"},
            )


def test_matching_instances_are_skipped_only_on_request(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect) as cell:
        before = set(cell.versions())
        cell.start("1")
        cell.ends_as("Successful")
        assert set(cell.versions()) == before
        cell.start("1", SkipMatching=False)
        cell.ends_as("Successful")
        assert not before & set(cell.versions())


@pytest.mark.parametrize(
    ("preferences", "sentence"),
    [
        ({"CheckpointPercentages": [50]}, "does not do that"),
        ({"BakeTime": 172801}, "from 0 to 172800"),
        ({"MinHealthyPercentage": 50, "MaxHealthyPercentage": 200}, "at most 100 below"),
        ({"AlarmSpecification": {"Alarms": ["nobody"]}}, "does not exist"),
    ],
)
def test_unsupported_preferences_are_refused(
    fleet: Fleet, connect: Connect, preferences: dict[str, Any], sentence: str
) -> None:
    with subject(fleet, connect) as cell, pytest.raises(ClientError, match=sentence):
        cell.start(**preferences)


def test_a_rollback_needs_versions_that_do_not_move(fleet: Fleet, connect: Connect) -> None:
    with subject(fleet, connect, version="$Latest") as cell:
        with pytest.raises(ClientError, match="numbers as launch template versions"):
            cell.start(AutoRollback=True)
        cell.start("1", InstanceWarmup=600)
        with pytest.raises(ClientError, match="IrreversibleInstanceRefresh"):
            cell.api.rollback_instance_refresh(AutoScalingGroupName=cell.group)
