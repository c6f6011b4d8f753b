"""A small network, launch template and groups for tests of the emulated AWS."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vectorfleet.waiting import until

IMAGE = "ami-0123456789abcdef0"
_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    """Return a name that no other test of this run uses."""
    return f"{prefix}-{next(_numbers)}"


def worker_number() -> int:
    """Return the number of this pytest-xdist worker, 0 without xdist: workers share the addresses of one machine."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def eventually(condition: Callable[[], object], *, seconds: float = 60.0) -> Any:
    """Return the condition's value once it is true; fail after the deadline with its last value."""
    value = until(condition, seconds, 0.05)
    assert value, f"not within {seconds:g} s; last value: {value!r}"
    return value


def specification(template: str, version: str) -> dict[str, str]:
    """Return a launch template as a group names it."""
    return {"LaunchTemplateId": template, "Version": version}


def mixed(template: str, version: str, *types: str) -> dict[str, Any]:
    """Return a mixed instances policy that prefers the first type."""
    return {
        "InstancesDistribution": {"OnDemandAllocationStrategy": "prioritized"},
        "LaunchTemplate": {
            "LaunchTemplateSpecification": specification(template, version),
            "Overrides": [{"InstanceType": name} for name in types],
        },
    }


@dataclass
class Fleet:
    """Clients, one VPC in the loopback net, and three subnets in three zones."""

    connect: Callable[[str], Any]
    vpc: str
    subnets: list[str]

    def template(self, user_data: str = "hello", **data: Any) -> str:
        """A launch template's id."""
        encoded = base64.b64encode(user_data.encode()).decode()
        answer = self.connect("ec2").create_launch_template(
            LaunchTemplateName=unique("template"),
            LaunchTemplateData={
                "ImageId": IMAGE,
                "InstanceType": "m7i.large",
                "UserData": encoded,
                **data,
            },
        )
        return str(answer["LaunchTemplate"]["LaunchTemplateId"])

    @contextmanager
    def group(self, template: str, size: int, *, version: str = "$Latest", **more: Any) -> Iterator[str]:
        """An Auto Scaling group that is deleted by force afterwards; of the template alone without a policy."""
        name = unique("group")
        launched = {} if "MixedInstancesPolicy" in more else {"LaunchTemplate": specification(template, version)}
        settings = {"MinSize": 0, "MaxSize": 9, "VPCZoneIdentifier": ",".join(self.subnets), **more}
        autoscaling = self.connect("autoscaling")
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            DesiredCapacity=size,
            **launched,
            **settings,
        )
        try:
            yield name
        finally:
            autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)

    def instances(self, group: str) -> list[dict[str, Any]]:
        """Living EC2 instances of a group."""
        filters = [
            {"Name": "tag:aws:autoscaling:groupName", "Values": [group]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        pages = self.connect("ec2").get_paginator("describe_instances").paginate(Filters=filters)
        return [i for page in pages for r in page["Reservations"] for i in r["Instances"]]

    def target_group(self, **settings: Any) -> str:
        """A target group's ARN; HTTP on 8080."""
        answer = self.connect("elbv2").create_target_group(
            Name=unique("targets"), Protocol="HTTP", Port=8080, VpcId=self.vpc, **settings
        )
        return str(answer["TargetGroups"][0]["TargetGroupArn"])

    def targets(self, target_group: str) -> dict[str, str]:
        """RecordedResource instances and their state."""
        answer = self.connect("elbv2").describe_target_health(TargetGroupArn=target_group)
        return {e["Target"]["Id"]: e["TargetHealth"]["State"] for e in answer["TargetHealthDescriptions"]}


def build(connect: Callable[[str], Any], *, block: int) -> Fleet:
    """Return a VPC 127.<block>.0.0/16 with a /20 subnet in each of three zones, apart from those of other workers."""
    ec2 = connect("ec2")
    first = 3 * worker_number()
    vpc = ec2.create_vpc(CidrBlock=f"127.{block}.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"127.{block}.{16 * index}.0/20", AvailabilityZone=f"us-east-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for index, zone in enumerate("abc", first)
    ]
    return Fleet(connect, vpc, subnets)
