"""What a router refuses rather than letting it make everything slow, or a node run out of room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import Counter

from service.problems import Problem
from service.router.replicas import Replicas

MOST_READS = 256
SHED = Counter("vectorfleet_router_shed_total", "Requests refused for want of room", ["reason"])


class Level(NamedTuple):
    """Writes are refused from `closes` percent on, and taken again below `opens`: not to and fro at one figure."""

    closes: float
    opens: float


LEVELS = {"memory": Level(90.0, 85.0), "disk": Level(95.0, 90.0)}


class Reads:
    """Searches and look-ups under way: a queue of its own is what each node is, so more would only wait there."""

    def __init__(self, most: int = MOST_READS) -> None:
        self._most = most
        self._under_way = 0

    @contextmanager
    def under_way(self, count: int = 1) -> Iterator[None]:
        """So many more while the block runs; raises Problem 429 where that is too many."""
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


class Fullness:
    """Whether any node is too full to be given more. Every write is every replica's of its shard, sooner or later."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._closed: set[str] = set()

    def check(self) -> None:
        """Raise Problem 507 while a machine is too full."""
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
