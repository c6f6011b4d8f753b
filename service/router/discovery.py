"""Which nodes there are, by their EC2 tags. No load balancer stands between, so a router can hedge and eject."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

TAG_PREFIX = "vectorfleet:"

log = logging.getLogger(__name__)


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
    found = (_address(instance) for instance in instances)
    return sorted((node for node in found if node is not None), key=lambda node: node.instance)


def _address(instance: dict[str, Any]) -> NodeAddress | None:
    """The node, or None for an instance whose tags don't say its place: one wrong tag must not stop a router."""
    tags = {tag["Key"].removeprefix(TAG_PREFIX): tag["Value"] for tag in instance["Tags"]}
    try:
        shard, replica = int(tags["shard"]), tags["replica"]
    except (KeyError, ValueError):
        log.warning("an instance's tags name no shard and replica", extra={"node": instance["InstanceId"]})
        return None
    return NodeAddress(
        instance["InstanceId"],
        instance["PrivateIpAddress"],
        instance["Placement"]["AvailabilityZone"],
        shard,
        replica,
    )
