"""
The nodes and indexers that there are, by their EC2 tags.

No load balancer stands between, so a router can hedge and eject.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

TAG_PREFIX = "vectorfleet:"

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """A running instance and its place."""

    instance: str
    address: str
    zone: str


class NodeAddress(NamedTuple):
    """A running node instance and its place."""

    instance: str
    address: str
    zone: str
    shard: int
    replica: str


class Found(NamedTuple):
    """The running nodes and indexers of a slot."""

    nodes: list[NodeAddress]
    indexers: list[Address]


def find(ec2: Any, *, fleet: str, slot: str) -> Found:
    """The running nodes and indexers of a slot, by one call: EC2 throttles those of all routers together."""
    wanted = {"fleet": [fleet], "slot": [slot], "role": ["node", "indexer"]}
    filters = [{"Name": f"tag:{TAG_PREFIX}{name}", "Values": values} for name, values in wanted.items()]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    by_role: dict[str, list[dict[str, Any]]] = {"node": [], "indexer": []}
    for page in pages:
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                by_role[_tags(instance)["role"]].append(instance)
    nodes = (_node(instance) for instance in by_role["node"])
    return Found(sorted(node for node in nodes if node is not None), sorted(map(_address, by_role["indexer"])))


def _tags(instance: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"].removeprefix(TAG_PREFIX): tag["Value"] for tag in instance["Tags"]}


def _address(instance: dict[str, Any]) -> Address:
    return Address(instance["InstanceId"], instance["PrivateIpAddress"], instance["Placement"]["AvailabilityZone"])


def _node(instance: dict[str, Any]) -> NodeAddress | None:
    """The node, or None for an instance whose tags don't say its place: one wrong tag must not stop a router."""
    tags = _tags(instance)
    try:
        shard, replica = int(tags["shard"]), tags["replica"]
    except (KeyError, ValueError):
        log.warning("an instance's tags name no shard and replica", extra={"node": instance["InstanceId"]})
        return None
    return NodeAddress(*_address(instance), shard, replica)
