"""Where replicas and routers stand, so that one zone may be lost. Pure arithmetic: no Pulumi, no AWS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

REPLICA_LETTERS = "abcdef"
MAX_ROUTERS = 200  # the most that `maximumRouters` allows


@dataclass(frozen=True)
class Placement:
    """Where one replica lives."""

    shard: int
    replica: str
    zone: str


def replicas_needed(*, peak: float, capacity: float, minimum: int) -> int:
    """
    Replicas of each shard, one per zone, so that the peak still fits when one zone is lost.

    >>> replicas_needed(peak=900, capacity=500, minimum=2)
    3
    """
    return max(minimum, math.ceil(peak / capacity) + 1)


def place(shards: int, replicas: int, zones: Sequence[str]) -> tuple[Placement, ...]:
    """Every replica of a shard in its own zone; shards start at different zones, so zones fill evenly."""
    return tuple(
        Placement(shard=shard, replica=REPLICA_LETTERS[i], zone=zones[(shard + i) % len(zones)])
        for shard in range(shards)
        for i in range(replicas)
    )


def routers_needed(*, peak: float, capacity: float, zones: int, minimum: int) -> int:
    """
    Routers over the zones, evenly spread, so that those outside the fullest zone carry the peak.

    >>> routers_needed(peak=900, capacity=500, zones=3, minimum=2)
    3
    """
    carriers = math.ceil(peak / capacity)
    # Of `count` at least ⌊count × (zones - 1) / zones⌋ stand outside the fullest zone.
    return max(minimum, -(-carriers * zones // (zones - 1)))


def router_zones(count: int, zones: Sequence[str]) -> tuple[str, ...]:
    """The zone of each router as the group spreads them."""
    return tuple(islice(cycle(zones), count))
