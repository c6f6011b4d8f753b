"""Refusals under overload: too many reads at once, or nodes with too little memory or disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import Counter

from service.router.cloudwatch_metrics import FleetMetrics
from service.router.replicas import Replicas
from service.router.scatter import Lagging
from service.wire.problems import Problem

MOST_READS = 256
SHED = Counter("vectorfleet_router_shed_total", "Requests refused for want of room", ["reason"])


class Level(NamedTuple):
    """Writes are refused from `closes` percent on and accepted again below `opens` percent."""

    closes: float
    opens: float


LEVELS = {"memory": Level(90.0, 85.0), "disk": Level(95.0, 90.0)}


class Reads:
    """Searches and look-ups under way. Each node has its own queue, so more of them would only wait there."""

    def __init__(self, metrics: FleetMetrics, most: int = MOST_READS) -> None:
        self._metrics = metrics
        self._most = most
        self._under_way = 0

    @contextmanager
    def under_way(self, count: int = 1) -> Iterator[None]:
        """Count `count` more while the block runs; raise Problem 429 if those are too many."""
        if self._under_way + count > self._most:
            SHED.labels("reads").inc(count)
            raise Problem(
                429,
                f"{self._under_way} reads are under way in this router, {self._most} may be; ask again later",
                limit=self._most,
                retry_after_seconds=1,
            )
        self._under_way += count
        try:
            yield
        finally:
            self._under_way -= count

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one more while the block runs; a failure for lagging shards has its own metric."""
        with self.under_way():
            try:
                yield
            except Lagging:
                self._metrics.observe_behind()
                raise


class Fullness:
    """The memory and disk of the fullest node: a write reaches every replica of its shard."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._closed: set[str] = set()

    def check(self) -> None:
        """Raise Problem 507 while a node has too little memory or disk."""
        for what, level in LEVELS.items():
            percent, name = self._worst(what)
            if percent >= (level.opens if what in self._closed else level.closes):
                self._closed.add(what)
                SHED.labels(what).inc()
                raise Problem(
                    507,
                    f"{name} uses {percent:g} % of its {what}; writes are refused from {level.closes:g} % until it is "
                    f"below {level.opens:g} %. Deletions and searches go on; runbooks/RB-06 says how to make room",
                    limit=level.closes,
                    reading=percent,
                    outcome="not_written",
                    retry_after_seconds=30,
                )
            self._closed.discard(what)

    def _worst(self, what: str) -> tuple[float, str]:
        readings = (
            (float(getattr(one.report, f"{what}_percent")), f"shard {one.node.shard}, replica {one.node.replica}")
            for one in self._replicas.all()
            if one.ready
        )
        return max(readings, default=(0.0, ""))
