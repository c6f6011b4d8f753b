"""Load generators are started up to what the stack allows, and ended whatever happened."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from infra.operations.generators import Generators, GeneratorsError, Master
from infra.stack.outputs import Stack
from tests.stack_outputs import a_stack

STACK = a_stack(generator_group="generators")
MASTER = Master("10.0.0.7", 5557, 2)


class NotFoundError(Exception):
    pass


class Aws:
    """Auto Scaling and SSM at once; an instance comes into service at each look."""

    exceptions = SimpleNamespace(ParameterNotFound=NotFoundError)

    def __init__(self) -> None:
        self.desired = self.there = 0
        self.parameters: dict[str, str] = {}

    def describe_auto_scaling_groups(self, **asked: Any) -> dict[str, Any]:
        self.there = min(self.there + 1, self.desired)
        instances = [{"LifecycleState": "InService"}] * self.there + [{"LifecycleState": "Pending"}]
        return {"AutoScalingGroups": [{"MaxSize": 3, "Instances": instances}]}

    def set_desired_capacity(self, **asked: Any) -> None:
        self.desired = asked["DesiredCapacity"]

    def put_parameter(self, **asked: Any) -> None:
        self.parameters[asked["Name"]] = asked["Value"]

    def delete_parameter(self, **asked: Any) -> None:
        if self.parameters.pop(asked["Name"], None) is None:
            raise NotFoundError


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws()
    monkeypatch.setattr(Stack, "aws", lambda stack, service: made)
    return made


def test_instances_are_told_their_master_and_waited_for(aws: Aws) -> None:
    subject, now = Generators(STACK), [0.0]

    def sleep() -> None:
        now[0] += 1

    subject.start(2, MASTER)
    assert json.loads(aws.parameters["/vectorfleet/main/load-master"]) == {
        "host": "10.0.0.7",
        "port": 5557,
        "processes": 2,
    }
    assert subject.await_running(2, 10, sleep, lambda: now[0])
    assert not subject.await_running(3, 10, sleep, lambda: now[0])


def test_more_than_the_maximum_is_refused_at_once(aws: Aws) -> None:
    with pytest.raises(GeneratorsError, match=r"4 generators are asked for; loadGenerators\.maximum allows 3"):
        Generators(STACK).start(4, MASTER)
    assert (aws.desired, aws.parameters) == (0, {})


def test_the_end_may_be_asked_for_twice(aws: Aws) -> None:
    subject = Generators(STACK)
    subject.start(1, MASTER)
    subject.stop()
    subject.stop()
    assert (aws.desired, aws.parameters) == (0, {})


def test_a_stack_without_generators_says_how_to_get_some(aws: Aws) -> None:
    with pytest.raises(GeneratorsError, match=r"set loadGenerators\.maximum and deploy it again"):
        Generators(a_stack())
