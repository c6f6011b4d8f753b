"""Launch lifecycle hooks of the emulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.fleet import Fleet, eventually

Connect = Callable[[str], Any]
LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"


def hook(name: str = "ready", **more: Any) -> dict[str, Any]:
    """Return a launch hook for CreateAutoScalingGroup."""
    return {"LifecycleHookName": name, "LifecycleTransition": LAUNCHING, "HeartbeatTimeout": 60, **more}


def members(connect: Connect, group: str) -> dict[str, str]:
    """Return the group's instances and their lifecycle states."""
    answer = connect("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    return {row["InstanceId"]: row["LifecycleState"] for row in answer["AutoScalingGroups"][0]["Instances"]}


def launches(connect: Connect, group: str) -> list[tuple[str, str]]:
    """Return status and message of the group's launches, newest first."""
    found = connect("autoscaling").describe_scaling_activities(AutoScalingGroupName=group)["Activities"]
    return [(a["StatusCode"], a.get("StatusMessage", "")) for a in found if a["Description"].startswith("Launching")]


def complete(connect: Connect, group: str, instance: str, result: str, name: str = "ready") -> None:
    connect("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName=group, LifecycleHookName=name, InstanceId=instance, LifecycleActionResult=result
    )


def test_a_hook_of_a_new_group_holds_its_first_instance(fleet: Fleet, connect: Connect) -> None:
    targets = fleet.target_group()
    with fleet.group(fleet.template(), 1, LifecycleHookSpecificationList=[hook()], TargetGroupARNs=[targets]) as group:
        ((instance, state),) = members(connect, group).items()
        assert (state, fleet.instances(group)[0]["State"]["Name"]) == ("Pending:Wait", "running")
        assert fleet.targets(targets) == {}
        assert launches(connect, group)[0][0] == "MidLifecycleAction"
        (seen,) = connect("autoscaling").describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"]
        assert (seen["LifecycleState"], seen["AutoScalingGroupName"]) == ("Pending:Wait", group)
        complete(connect, group, instance, "CONTINUE")
        assert members(connect, group) == {instance: "InService"}
        assert set(fleet.targets(targets)) == {instance}
        assert launches(connect, group) == [("Successful", "")]


def test_an_abandoned_instance_is_ended_and_another_one_waits(fleet: Fleet, connect: Connect) -> None:
    with fleet.group(fleet.template(), 1, LifecycleHookSpecificationList=[hook()]) as group:
        (first,) = members(connect, group)
        complete(connect, group, first, "ABANDON")
        ((second, state),) = members(connect, group).items()
        assert (second != first, state) == (True, "Pending:Wait")
        assert [row["InstanceId"] for row in fleet.instances(group)] == [second]
        status, message = launches(connect, group)[1]
        assert status == "Cancelled"
        assert message.endswith("was abandoned: Lifecycle Action Completed with ABANDON Result")


@pytest.mark.parametrize(("result", "expected"), [("ABANDON", "replaced"), ("CONTINUE", "InService")])
def test_a_timeout_has_the_hooks_default_result(fleet: Fleet, connect: Connect, result: str, expected: str) -> None:
    short = hook(HeartbeatTimeout=1, DefaultResult=result)
    with fleet.group(fleet.template(), 1, LifecycleHookSpecificationList=[short]) as group:
        (first,) = members(connect, group)
        if expected == "replaced":
            eventually(lambda: first not in members(connect, group))
            assert any("Heartbeat Timeout" in message for _, message in launches(connect, group))
        else:
            eventually(lambda: members(connect, group) == {first: "InService"})


def test_heartbeats_extend_the_timeout(fleet: Fleet, connect: Connect) -> None:
    autoscaling = connect("autoscaling")
    with fleet.group(fleet.template(), 2, LifecycleHookSpecificationList=[hook(HeartbeatTimeout=2)]) as group:
        kept, lost = members(connect, group)

        def beat() -> bool:
            autoscaling.record_lifecycle_action_heartbeat(
                AutoScalingGroupName=group, LifecycleHookName="ready", InstanceId=kept
            )
            return lost not in members(connect, group)

        eventually(beat)
        assert members(connect, group)[kept] == "Pending:Wait"


def test_a_waiting_instance_counts_and_is_not_judged(fleet: Fleet, connect: Connect) -> None:
    with fleet.group(fleet.template(), 2, LifecycleHookSpecificationList=[hook()]) as group:
        before = set(members(connect, group))
        stopped, ended = sorted(before)
        connect("ec2").stop_instances(InstanceIds=[stopped])
        assert set(members(connect, group)) == before
        connect("ec2").terminate_instances(InstanceIds=[ended])
        after = members(connect, group)
        assert (len(after), stopped in after, ended in after) == (2, True, False)


def test_a_shrinking_group_ends_instances_that_wait_first(fleet: Fleet, connect: Connect) -> None:
    with fleet.group(fleet.template(), 2, LifecycleHookSpecificationList=[hook()]) as group:
        serving, _ = members(connect, group)
        complete(connect, group, serving, "CONTINUE")
        connect("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
        assert members(connect, group) == {serving: "InService"}


def test_every_hook_must_be_completed(fleet: Fleet, connect: Connect) -> None:
    with fleet.group(fleet.template(), 1, LifecycleHookSpecificationList=[hook("disk"), hook("ready")]) as group:
        (instance,) = members(connect, group)
        complete(connect, group, instance, "CONTINUE", "disk")
        assert members(connect, group) == {instance: "Pending:Wait"}
        complete(connect, group, instance, "CONTINUE", "ready")
        assert members(connect, group) == {instance: "InService"}


def test_hooks_can_be_put_later_and_deleted(fleet: Fleet, connect: Connect) -> None:
    autoscaling = connect("autoscaling")
    with fleet.group(fleet.template(), 1) as group:
        (early,) = members(connect, group)
        autoscaling.put_lifecycle_hook(
            AutoScalingGroupName=group,
            LifecycleHookName="late",
            LifecycleTransition=LAUNCHING,
            DefaultResult="CONTINUE",
        )
        autoscaling.put_lifecycle_hook(AutoScalingGroupName=group, LifecycleHookName="late", HeartbeatTimeout=45)
        (described,) = autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"]
        expected = {"HeartbeatTimeout": 45, "DefaultResult": "CONTINUE", "GlobalTimeout": 4500}
        assert expected.items() <= described.items()
        assert "NotificationTargetARN" not in described
        autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=2)
        states = members(connect, group)
        assert (states.pop(early), list(states.values())) == ("InService", ["Pending:Wait"])
        autoscaling.delete_lifecycle_hook(AutoScalingGroupName=group, LifecycleHookName="late")
        assert set(members(connect, group).values()) == {"InService"}
        assert autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"] == []


def test_completing_what_does_not_wait_is_refused(fleet: Fleet, connect: Connect) -> None:
    with fleet.group(fleet.template(), 1, LifecycleHookSpecificationList=[hook()]) as group:
        (instance,) = members(connect, group)
        complete(connect, group, instance, "CONTINUE")
        with pytest.raises(ClientError, match=f"No active Lifecycle Action found with instance ID {instance}"):
            complete(connect, group, instance, "CONTINUE")
        with pytest.raises(ClientError, match="No active Lifecycle Action found"):
            connect("autoscaling").record_lifecycle_action_heartbeat(
                AutoScalingGroupName=group, LifecycleHookName="ready", InstanceId=instance
            )
        with pytest.raises(ClientError, match="allowed: CONTINUE, ABANDON"):
            complete(connect, group, instance, "MAYBE")


def test_an_invalid_hook_creates_no_group(fleet: Fleet, connect: Connect) -> None:
    wrong = hook(LifecycleTransition="autoscaling:SOMETIMES")
    with (
        pytest.raises(ClientError, match="autoscaling:SOMETIMES"),
        fleet.group(fleet.template(), 1, LifecycleHookSpecificationList=[wrong]),
    ):
        raise AssertionError("the group was made")
