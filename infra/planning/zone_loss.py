"""Loss of a zone: replicas and routers that survive it, their zones, and the rate that is left. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

REPLICA_LETTERS = "abcdef"
MAX_ROUTERS = 200  # the most that `maximumRouters` allows


@dataclass(frozen=True)
class Placement:
    """The zone of one replica."""

    shard: int
    replica: str
    zone: str


@dataclass(frozen=True)
class ZoneLoss:
    """The fleet without one zone; `queries_per_second` is what an affected shard and all routers still carry."""

    zone: str
    cells_lost: int
    routers_lost: int
    replicas_left: int
    queries_per_second: float


def replicas_needed(*, peak: float, capacity: float, minimum: int) -> int:
    """
    Return the replicas of each shard, one per zone, that carry the peak after the loss of a zone.

    >>> replicas_needed(peak=900, capacity=500, minimum=2)
    3
    """
    return max(minimum, math.ceil(peak / capacity) + 1)


def place(shards: int, replicas: int, zones: Sequence[str]) -> tuple[Placement, ...]:
    """Give every replica of a shard its own zone. Shards begin at different zones, so that zones fill evenly."""
    return tuple(
        Placement(shard=shard, replica=REPLICA_LETTERS[i], zone=zones[(shard + i) % len(zones)])
        for shard in range(shards)
        for i in range(replicas)
    )


def routers_needed(*, peak: float, capacity: float, zones: int, minimum: int) -> int:
    """
    Return the routers, evenly spread, whose remainder outside the fullest zone carries the peak.

    >>> routers_needed(peak=900, capacity=500, zones=3, minimum=2)
    3
    """
    carriers = math.ceil(peak / capacity)
    # Of `count` at least ⌊count × (zones - 1) / zones⌋ run outside the fullest zone.
    return max(minimum, -(-carriers * zones // (zones - 1)))


def router_zones(count: int, zones: Sequence[str]) -> tuple[str, ...]:
    """Return the zone of each router, as the Auto Scaling group spreads them."""
    return tuple(islice(cycle(zones), count))


def loss_of(
    zone: str, placements: Sequence[Placement], routers: Sequence[str], *, replicas: int, rates: tuple[float, float]
) -> ZoneLoss:
    """Return the effect of losing `zone`. `routers` has their zones, `rates` those of a replica and a router."""
    cells_lost = sum(placement.zone == zone for placement in placements)
    routers_lost = routers.count(zone)
    left = replicas - bool(cells_lost)  # a zone holds at most one replica of a shard
    carried = min(left * rates[0], (len(routers) - routers_lost) * rates[1])
    return ZoneLoss(zone, cells_lost, routers_lost, left, carried)
