"""Which nodes there are, by their EC2 tags. No load balancer stands between, so a router can hedge and eject."""

from __future__ import annotations

from typing import Any, NamedTuple

TAG_PREFIX = "vectorfleet:"


class NodeAddress(NamedTuple):
    """A running node instance and its place."""

    instance: str
    address: str
    zone: str
    shard: int
    replica: str


def find_nodes(ec2: Any, *, fleet: str, slot: str) -> list[NodeAddress]:
    """The running nodes of a slot."""
    wanted = {"fleet": fleet, "slot": slot, "role": "node"}
    filters = [{"Name": f"tag:{TAG_PREFIX}{name}", "Values": [value]} for name, value in wanted.items()]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    instances = (
        instance for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"]
    )
    return sorted((_address(instance) for instance in instances), key=lambda node: node.instance)


def _address(instance: dict[str, Any]) -> NodeAddress:
    tags = {tag["Key"].removeprefix(TAG_PREFIX): tag["Value"] for tag in instance["Tags"]}
    return NodeAddress(
        instance["InstanceId"],
        instance["PrivateIpAddress"],
        instance["Placement"]["AvailabilityZone"],
        int(tags["shard"]),
        tags["replica"],
    )
