"""Rules for cells: one instance in one zone, and the replicas of a shard in different zones."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Rule, said, shown

SIZES = ("minSize", "maxSize", "desiredCapacity")
SHARD_TAGS = ("vectorfleet:fleet", "vectorfleet:slot", "vectorfleet:shard")


def _is_cell(group: Resource) -> bool:
    return group.tag("vectorfleet:role") == "node"


def _cell(group: Resource, _: Graph) -> Iterator[str]:
    if not _is_cell(group):
        return
    sizes = {name: group.at(name) for name in SIZES}
    if set(sizes.values()) != {1}:
        given = ", ".join(f"{name} {shown(size)}" for name, size in sizes.items())
        yield said(f"a cell has {given}", allowed="1 for all three", remedy="Add a cell for another replica")
    subnets = len(group.each("vpcZoneIdentifiers"))
    if subnets != 1:
        yield said(
            f"a cell stands in {subnets} subnets",
            allowed="one",
            remedy="Pin it to a zone, or rebalancing ends replicas",
        )


def _apart(group: Resource, graph: Graph) -> Iterator[str]:
    if not _is_cell(group):
        return
    shard = [group.tag(name) for name in SHARD_TAGS]
    for other in graph.of_type(tokens.GROUP):
        is_sibling = other.name < group.name and _is_cell(other) and [other.tag(name) for name in SHARD_TAGS] == shard
        shared = _places(group, graph) & _places(other, graph) if is_sibling else set()
        for place in sorted(shared):
            yield said(
                f"{other.name} is a replica of the same shard in {place}",
                allowed="another zone for each replica",
                remedy="Place them apart, or one zone takes both",
            )


def _places(group: Resource, graph: Graph) -> set[str]:
    """Return the zones of a group's subnets, or the subnets themselves if the stack does not make them."""
    subnets = graph.targets(group, "vpcZoneIdentifiers", tokens.SUBNET)
    return {str(subnet.at("availabilityZone") or subnet.name) for subnet in subnets} or {
        str(given) for given in group.each("vpcZoneIdentifiers")
    }


RULES = (
    Rule(
        id="cell-of-one",
        demand="a cell is a group of one instance in one subnet",
        types=(tokens.GROUP,),
        check=_cell,
    ),
    Rule(
        id="replicas-apart",
        demand="replicas of a shard are in different zones",
        types=(tokens.GROUP,),
        check=_apart,
    ),
)
