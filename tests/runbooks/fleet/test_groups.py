"""The cells' groups against an AWS in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.stack.outputs import Cell, Stack, StackError
from runbooks.faults.shard_lost import FaultError, Injection, ShardLost
from runbooks.fleet.groups import launch, nodes, replace_instances, see_cells, unreplaced
from tests.runbooks.aws_groups import delete_groups, make_groups, make_template
from tests.stack_outputs import a_stack

CELLS = (Cell(0, "a", "us-east-1a", "group-0a"), Cell(1, "a", "us-east-1a", "group-1a"))


@pytest.fixture(scope="module")
def launchable(mocked_aws: None) -> None:
    make_template(a_stack().aws("ec2"))


@pytest.fixture
def stack(launchable: None, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A fleet of its own, whose groups are deleted after the test."""
    stack = a_stack(fleet=request.node.name, cells=CELLS)
    make_groups(stack.aws("autoscaling"), stack.fleet, CELLS)
    yield stack
    delete_groups(stack.aws("autoscaling"), CELLS)


def test_every_cell_has_its_instance(stack: Stack) -> None:
    assert unreplaced(see_cells(stack)) == []
    assert [node.shard for node in nodes(stack)] == [0, 1]


def test_a_cell_without_an_instance_is_named_and_launched(stack: Stack) -> None:
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


def test_a_cell_without_a_group_is_reported(stack: Stack) -> None:
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
