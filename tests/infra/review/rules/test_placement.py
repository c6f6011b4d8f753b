"""The rules of infra.review.rules.placement, each with what complies and what does not."""

from __future__ import annotations

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, fine, made, wrong


def subnet(name: str, zone: str) -> Resource:
    return made(tokens.SUBNET, {"availabilityZone": zone}, name=name)


A, B, SECOND_IN_A = subnet("a", "us-east-1a"), subnet("b", "us-east-1b"), subnet("a2", "us-east-1a")


def group(
    name: str, *subnets: Resource, sizes: tuple[int, int, int] = (1, 1, 1), shard: str = "0", role: str = "node"
) -> Resource:
    tags = {"vectorfleet:role": role, "vectorfleet:fleet": "f", "vectorfleet:slot": "blue", "vectorfleet:shard": shard}
    inputs = {
        **dict(zip(("minSize", "maxSize", "desiredCapacity"), sizes, strict=True)),
        "tags": [{"key": key, "value": value, "propagateAtLaunch": True} for key, value in tags.items()],
    }
    return made(tokens.GROUP, inputs, name=name, vpcZoneIdentifiers=subnets)


ZONES = (A, B, SECOND_IN_A)
CASES = (
    fine("cell-of-one", "one in one zone", group("a", A)),
    fine("cell-of-one", "routers are no cells", group("a", A, B, sizes=(1, 4, 2), role="router")),
    wrong("cell-of-one", "may grow", group("a", A, sizes=(1, 2, 1)), says="minSize 1, maxSize 2, desiredCapacity 1"),
    wrong("cell-of-one", "two subnets", group("a", A, B), says="stands in 2 subnets"),
    fine("replicas-apart", "two zones", *ZONES, group("a", A), group("b", B)),
    fine("replicas-apart", "two shards in a zone", *ZONES, group("a", A), group("b", A, shard="1")),
    wrong("replicas-apart", "one subnet", *ZONES, group("a", A), group("b", A), says="a is a replica"),
    wrong("replicas-apart", "a subnet made elsewhere", group("a", A), group("b", A), says="same shard in a;"),
    wrong("replicas-apart", "two subnets of a zone", *ZONES, group("a", A), group("b", SECOND_IN_A), says="us-east-1a"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_placement_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
