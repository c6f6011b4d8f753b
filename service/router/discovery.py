"""Discovery of nodes and indexers by their EC2 tags. A router reaches nodes directly, so it can hedge and eject."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

TAG_PREFIX = "vectorfleet:"

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """A running instance."""

    instance: str
    address: str
    zone: str


class NodeAddress(NamedTuple):
    """A running instance of a node, and its place in the fleet."""

    instance: str
    address: str
    zone: str
    shard: int
    replica: str


class SlotInstances(NamedTuple):
    """The running nodes and indexers of a slot."""

    nodes: list[NodeAddress]
    indexers: list[Address]


def find(ec2: Any, *, fleet: str, slot: str) -> SlotInstances:
    """Find the running nodes and indexers of a slot by one call: EC2 throttles the calls of all routers together."""
    wanted = {"fleet": [fleet], "slot": [slot], "role": ["node", "indexer"]}
    filters = [{"Name": f"tag:{TAG_PREFIX}{name}", "Values": values} for name, values in wanted.items()]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    by_role: dict[str, list[dict[str, Any]]] = {"node": [], "indexer": []}
    reservations = (reservation for page in pages for reservation in page["Reservations"])
    for instance in (instance for reservation in reservations for instance in reservation["Instances"]):
        by_role[_tags(instance)["role"]].append(instance)
    nodes = (_node(instance) for instance in by_role["node"])
    return SlotInstances(sorted(node for node in nodes if node is not None), sorted(map(_address, by_role["indexer"])))


def _tags(instance: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"].removeprefix(TAG_PREFIX): tag["Value"] for tag in instance["Tags"]}


def _address(instance: dict[str, Any]) -> Address:
    return Address(instance["InstanceId"], instance["PrivateIpAddress"], instance["Placement"]["AvailabilityZone"])


def _node(instance: dict[str, Any]) -> NodeAddress | None:
    """Return the node, or None if its tags lack a shard or replica: a wrong tag must not stop a router."""
    tags = _tags(instance)
    try:
        shard, replica = int(tags["shard"]), tags["replica"]
    except (KeyError, ValueError):
        log.warning("an instance's tags name no shard and replica", extra={"node": instance["InstanceId"]})
        return None
    return NodeAddress(*_address(instance), shard, replica)
