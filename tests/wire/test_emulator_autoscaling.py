"""Auto Scaling groups of the emulator: capacity, replacement, target groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.fleet import Fleet, eventually

Connect = Callable[[str], Any]


def test_a_group_spreads_over_its_subnets(fleet: Fleet) -> None:
    with fleet.group(fleet.template(), 6) as group:
        instances = fleet.instances(group)
        assert Counter(i["SubnetId"] for i in instances) == dict.fromkeys(fleet.subnets, 2)
        assert len({i["PrivateIpAddress"] for i in instances}) == 6
        assert {i["Placement"]["AvailabilityZone"] for i in instances} == {f"us-east-1{z}" for z in "abc"}


def test_a_terminated_instance_is_replaced_in_its_zone(fleet: Fleet, connect: Connect) -> None:
    targets = fleet.target_group()
    with fleet.group(fleet.template(), 3, TargetGroupARNs=[targets]) as group:
        before = {i["InstanceId"]: i for i in fleet.instances(group)}
        victim = next(iter(before))
        connect("ec2").terminate_instances(InstanceIds=[victim])
        after = {i["InstanceId"]: i for i in fleet.instances(group)}
        (fresh,) = set(after) - set(before)
        assert victim not in after
        assert after[fresh]["SubnetId"] == before[victim]["SubnetId"]
        assert after[fresh]["PrivateIpAddress"] != before[victim]["PrivateIpAddress"]
        assert set(fleet.targets(targets)) == set(after)


@pytest.mark.parametrize("decrement", [True, False])
def test_termination_through_the_group_leaves_no_dead_target(fleet: Fleet, connect: Connect, decrement: bool) -> None:
    targets = fleet.target_group()
    with fleet.group(fleet.template(), 2, TargetGroupARNs=[targets]) as group:
        victim = fleet.instances(group)[0]["InstanceId"]
        answer = connect("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=victim, ShouldDecrementDesiredCapacity=decrement
        )
        assert victim in answer["Activity"]["Description"]
        living = {i["InstanceId"] for i in fleet.instances(group)}
        assert len(living) == (1 if decrement else 2)
        assert set(fleet.targets(targets)) == living


def test_scale_in_deregisters_who_leaves(fleet: Fleet, connect: Connect) -> None:
    targets = fleet.target_group()
    with fleet.group(fleet.template(), 3, TargetGroupARNs=[targets]) as group:
        connect("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
        living = {i["InstanceId"] for i in fleet.instances(group)}
        assert len(living) == 1
        assert set(fleet.targets(targets)) == living


def test_capacity_outside_the_limits_is_refused(fleet: Fleet, connect: Connect) -> None:
    with (
        fleet.group(fleet.template(), 1, MaxSize=2) as group,
        pytest.raises(ClientError, match="above max value 2"),
    ):
        connect("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)


def test_a_stopped_instance_is_replaced_and_ended(fleet: Fleet, connect: Connect) -> None:
    with fleet.group(fleet.template(), 1) as group:
        victim = fleet.instances(group)[0]["InstanceId"]
        connect("ec2").stop_instances(InstanceIds=[victim])
        (fresh,) = eventually(lambda: fleet.instances(group))
        assert fresh["InstanceId"] != victim
        answer = connect("ec2").describe_instances(InstanceIds=[victim])
        assert answer["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"


def test_unhealthy_replaces_unless_the_grace_period_runs(fleet: Fleet, connect: Connect) -> None:
    autoscaling = connect("autoscaling")
    with fleet.group(fleet.template(), 1, HealthCheckGracePeriod=300) as group:
        victim = fleet.instances(group)[0]["InstanceId"]
        autoscaling.set_instance_health(InstanceId=victim, HealthStatus="Unhealthy")
        assert fleet.instances(group)[0]["InstanceId"] == victim
        autoscaling.set_instance_health(InstanceId=victim, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
        assert fleet.instances(group)[0]["InstanceId"] != victim


def test_a_suspended_launch_process_launches_nothing(fleet: Fleet, connect: Connect) -> None:
    autoscaling = connect("autoscaling")
    with fleet.group(fleet.template(), 1) as group:
        autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch"])
        connect("ec2").terminate_instances(InstanceIds=[fleet.instances(group)[0]["InstanceId"]])
        assert fleet.instances(group) == []
        autoscaling.resume_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch"])
        eventually(lambda: fleet.instances(group))


def test_activities_are_listed_newest_first(fleet: Fleet, connect: Connect) -> None:
    with fleet.group(fleet.template(), 1) as group:
        victim = fleet.instances(group)[0]["InstanceId"]
        connect("ec2").terminate_instances(InstanceIds=[victim])
        fresh = fleet.instances(group)[0]["InstanceId"]
        answer = connect("autoscaling").describe_scaling_activities(AutoScalingGroupName=group)
        assert [a["Description"] for a in answer["Activities"]] == [
            f"Launching a new EC2 instance: {fresh}",
            f"Terminating EC2 instance: {victim}",
            f"Launching a new EC2 instance: {victim}",
        ]
        assert {a["StatusCode"] for a in answer["Activities"]} == {"Successful"}


def test_only_force_deletes_a_group_with_instances(fleet: Fleet, connect: Connect) -> None:
    with fleet.group(fleet.template(), 1) as group:
        with pytest.raises(ClientError, match="ResourceInUse"):
            connect("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=group)
        assert len(fleet.instances(group)) == 1
    assert fleet.instances(group) == []


@pytest.mark.parametrize("version", ["$Latest", "$Default", "2"])
def test_a_new_template_version_reaches_new_instances(fleet: Fleet, connect: Connect, version: str) -> None:
    ec2, template = connect("ec2"), fleet.template("first")
    ec2.create_launch_template_version(
        LaunchTemplateId=template,
        SourceVersion="1",
        LaunchTemplateData={"UserData": "c2Vjb25k", "MetadataOptions": {"HttpTokens": "required"}},
    )
    with fleet.group(template, 1, version=version) as group:
        (instance,) = fleet.instances(group)
        answer = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
        expected = "Zmlyc3Q=" if version == "$Default" else "c2Vjb25k"
        assert answer["UserData"]["Value"] == expected
        described = connect("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
        member = described["AutoScalingGroups"][0]["Instances"][0]
        assert member["LaunchTemplate"]["Version"] == ("1" if version == "$Default" else "2")
        assert instance["MetadataOptions"]["HttpTokens"] == ("optional" if version == "$Default" else "required")


def test_template_tags_and_disks_reach_the_instance(fleet: Fleet, connect: Connect) -> None:
    tags = [{"Key": "vectorfleet:role", "Value": "node"}]
    template = fleet.template(
        TagSpecifications=[
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}}
        ],
    )
    propagated = [{"Key": "Name", "Value": "cell", "PropagateAtLaunch": True}]
    with fleet.group(template, 1, Tags=propagated) as group:
        (instance,) = fleet.instances(group)
        found = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert found["vectorfleet:role"] == "node"
        assert found["Name"] == "cell"
        (device,) = instance["BlockDeviceMappings"]
        volume = connect("ec2").describe_volumes(VolumeIds=[device["Ebs"]["VolumeId"]])["Volumes"][0]
        assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (20, "gp3", True)
        assert {"Key": "vectorfleet:role", "Value": "node"} in volume["Tags"]
        assert instance["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"]
