"""Groups of several instance types on the emulated AWS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.conftest import Connect
from tests.wire.fleet import Fleet, eventually, mixed, specification

CAREFUL = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200, "InstanceWarmup": 0, "SkipMatching": True}


class Cell:
    """A group of one with version 1 of a template that has two."""

    def __init__(self, fleet: Fleet, connect: Connect, group: str, template: str) -> None:
        self.fleet, self.group, self.template = fleet, group, template
        self.api = connect("autoscaling")

    def shown(self) -> tuple[str, list[str]]:
        """Return version and types of the group's policy."""
        (group,) = self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[self.group])["AutoScalingGroups"]
        assert "LaunchTemplate" not in group
        policy = group["MixedInstancesPolicy"]["LaunchTemplate"]
        types = [override["InstanceType"] for override in policy["Overrides"]]
        return policy["LaunchTemplateSpecification"]["Version"], types

    def running(self) -> list[str]:
        """Return the types of the group's instances."""
        return [row["InstanceType"] for row in self.fleet.instances(self.group)]

    def refresh(self, **desired: Any) -> None:
        """Start a refresh."""
        self.api.start_instance_refresh(
            AutoScalingGroupName=self.group,
            DesiredConfiguration=desired,
            Preferences=CAREFUL | {"AutoRollback": True},
        )

    def status(self) -> str:
        """Return the status of the newest refresh."""
        answer = self.api.describe_instance_refreshes(AutoScalingGroupName=self.group)
        return str(answer["InstanceRefreshes"][0]["Status"])


@contextmanager
def cell(fleet: Fleet, connect: Connect) -> Iterator[Cell]:
    template = fleet.template("first", InstanceType="m7i.large")
    connect("ec2").create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"UserData": "c2Vjb25k"}
    )
    policy = mixed(template, "1", "r7i.large", "r6i.large")
    with fleet.group(template, 1, MinSize=1, MaxSize=1, MixedInstancesPolicy=policy) as group:
        yield Cell(fleet, connect, group, template)


def test_the_preferred_type_is_launched_not_the_templates(fleet: Fleet, connect: Connect) -> None:
    with cell(fleet, connect) as subject:
        assert subject.running() == ["r7i.large"]


def test_an_update_of_something_else_keeps_the_policy(fleet: Fleet, connect: Connect) -> None:
    with cell(fleet, connect) as subject:
        subject.api.update_auto_scaling_group(AutoScalingGroupName=subject.group, HealthCheckGracePeriod=7)
        assert subject.shown() == ("1", ["r7i.large", "r6i.large"])
        template = {"LaunchTemplateSpecification": specification(subject.template, "2")}
        subject.api.update_auto_scaling_group(
            AutoScalingGroupName=subject.group, MixedInstancesPolicy={"LaunchTemplate": template}
        )
        assert subject.shown() == ("2", ["r7i.large", "r6i.large"])


def test_a_refresh_changes_version_and_types(fleet: Fleet, connect: Connect) -> None:
    with cell(fleet, connect) as subject:
        subject.refresh(MixedInstancesPolicy=mixed(subject.template, "2", "r6i.large", "r7i.large"))
        eventually(lambda: subject.status() == "Successful")
        assert subject.shown() == ("2", ["r6i.large", "r7i.large"])


def test_an_instance_of_a_removed_type_is_replaced(fleet: Fleet, connect: Connect) -> None:
    with cell(fleet, connect) as subject:
        subject.refresh(MixedInstancesPolicy=mixed(subject.template, "1", "r6i.large"))
        assert subject.shown() == ("1", ["r7i.large", "r6i.large"])
        eventually(lambda: subject.status() == "Successful")
        assert subject.shown() == ("1", ["r6i.large"])
        assert subject.running() == ["r6i.large"]


def test_a_rollback_brings_the_types_back(fleet: Fleet, connect: Connect) -> None:
    with cell(fleet, connect) as subject:
        hook = {"LifecycleHookName": "ready", "HeartbeatTimeout": 300, "DefaultResult": "ABANDON"}
        subject.api.put_lifecycle_hook(
            AutoScalingGroupName=subject.group,
            LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
            **hook,
        )
        subject.refresh(MixedInstancesPolicy=mixed(subject.template, "2", "m7i.large"))
        eventually(lambda: "m7i.large" in subject.running())
        subject.api.rollback_instance_refresh(AutoScalingGroupName=subject.group)
        eventually(lambda: subject.status() == "RollbackSuccessful")
        assert (subject.shown(), subject.running()) == (("1", ["r7i.large", "r6i.large"]), ["r7i.large"])


def test_a_refresh_does_not_take_the_policy_away(fleet: Fleet, connect: Connect) -> None:
    with cell(fleet, connect) as subject, pytest.raises(ClientError, match="needs a MixedInstancesPolicy"):
        subject.refresh(LaunchTemplate=specification(subject.template, "2"))
