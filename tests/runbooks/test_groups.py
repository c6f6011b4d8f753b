"""The cells' groups against an AWS in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from runbooks.faults.fault import FaultError, Injection
from runbooks.faults.shard_lost import ShardLost
from runbooks.groups import launch, nodes, replace_instances, see_cells, unreplaced
from runbooks.stack import Cell, Stack, StackError

CELLS = (Cell(0, "a", "us-east-1a", "group-0a"), Cell(1, "a", "us-east-1a", "group-1a"))


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        scaling = boto3.client("autoscaling", region_name="us-east-1")
        image = ec2.describe_images(MaxResults=1)["Images"][0]["ImageId"]
        data = {"ImageId": image, "InstanceType": "t3.micro"}
        ec2.create_launch_template(LaunchTemplateName="node", LaunchTemplateData=data)
        for cell in CELLS:
            _group(scaling, cell)
        yield Stack(
            outputs=Path("outputs.json"),
            fleet="f",
            region="us-east-1",
            slot="blue",
            endpoint="http://127.0.0.1:1",
            shards=2,
            cells=CELLS,
            alarms={},
            aws_endpoint=None,
        )


def _group(scaling: Any, cell: Cell) -> None:
    tags = {"fleet": "f", "slot": "blue", "role": "node", "shard": str(cell.shard), "replica": cell.replica}
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=cell.group,
        LaunchTemplate={"LaunchTemplateName": "node"},
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
        AvailabilityZones=["us-east-1a"],
        Tags=[{"Key": f"vectorfleet:{k}", "Value": v, "PropagateAtLaunch": True} for k, v in tags.items()],
    )


def test_every_cell_has_its_instance(stack: Stack) -> None:
    assert unreplaced(see_cells(stack)) == []
    assert [node.shard for node in nodes(stack)] == [0, 1]


def test_a_cell_without_an_instance_is_named_and_can_be_made_to_launch(stack: Stack) -> None:
    scaling = stack.aws("autoscaling")
    scaling.suspend_processes(AutoScalingGroupName="group-1a", ScalingProcesses=["Launch"])
    scaling.set_desired_capacity(AutoScalingGroupName="group-1a", DesiredCapacity=0)
    assert unreplaced(see_cells(stack)) == ["group-1a"]
    assert unreplaced(see_cells(stack, [0])) == []
    assert launch(stack, see_cells(stack)) == ["group-1a"]
    assert unreplaced(see_cells(stack)) == []
    assert see_cells(stack, [1])[0].suspended == ()
    assert launch(stack, see_cells(stack)) == []


def test_a_groups_instance_is_replaced(stack: Stack) -> None:
    before = see_cells(stack, [0])[0].instances
    assert replace_instances(stack, "group-0a") == [one.identity for one in before]
    after = see_cells(stack, [0])[0]
    assert after.replaced
    assert after.instances != before
    stack.aws("autoscaling").set_desired_capacity(AutoScalingGroupName="group-1a", DesiredCapacity=0)
    assert replace_instances(stack, "group-1a") == []
    with pytest.raises(StackError, match="no Auto Scaling group nothing"):
        replace_instances(stack, "nothing")


def test_a_cell_without_a_group_is_told(stack: Stack) -> None:
    stack.aws("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="group-0a", ForceDelete=True)
    found = {view.cell.group: view for view in see_cells(stack)}
    assert found["group-0a"].last_failure == "there is no such group"
    assert not found["group-0a"].replaced


def test_losing_a_shard_hits_that_shard_alone(stack: Stack) -> None:
    before = {node.identity: node.shard for node in nodes(stack)}
    fault = ShardLost(stack, 1, allow_remote=True)
    injection = fault.inject()
    assert [before[victim] for victim in injection.victims] == [1]
    assert fault.effect(injection).proven
    alive = [node for node in nodes(stack) if node.alive]
    assert [node.shard for node in alive] == [0, 1]
    assert not {node.identity for node in alive} & set(injection.victims)


def test_a_fault_that_took_no_effect_is_not_proven(stack: Stack) -> None:
    victims = tuple(node.identity for node in nodes(stack, [1]))
    effect = ShardLost(stack, 1, allow_remote=True).effect(Injection(0.0, victims, ""))
    assert not effect.proven
    assert victims[0] in effect.sentence


def test_there_must_be_something_to_lose(stack: Stack) -> None:
    stack.aws("autoscaling").set_desired_capacity(AutoScalingGroupName="group-1a", DesiredCapacity=0)
    with pytest.raises(FaultError, match="nothing to lose"):
        ShardLost(stack, 1, allow_remote=True).inject()
