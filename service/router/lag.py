"""Lag of each shard behind the documents log, in positions and in the age of its oldest missing write."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Literal, NamedTuple

from prometheus_client import Gauge

from service.cloudwatch import CloudWatch, Datum
from service.router.answers import LagState, ShardLag
from service.router.replicas import Replica, Replicas
from service.storage.builds import family
from service.storage.entry import Damaged
from service.storage.log import Log, tail_of
from service.storage.objects import StoreError
from service.wire.messages import LOG_ALONE

LOOK_SECONDS = 5.0
# A slow S3 must not make /v1/status slow.
STATUS_LOOK_SECONDS = 1.0
UNREAD_SECONDS = 3 * LOOK_SECONDS
PACE_SECONDS = 30.0
SAMPLE_SECONDS = 1.0

HEAD = Gauge("vectorfleet_router_head", "Newest position of the documents log that this router knows")
UNREAD = Gauge("vectorfleet_router_head_unread_seconds", "Time since the documents log's head was last found")
POSITIONS = Gauge("vectorfleet_router_lag_positions", "Documents positions that a shard does not cover yet", ["shard"])
SECONDS = Gauge("vectorfleet_router_lag_seconds", "Age of the oldest write that a shard does not cover yet", ["shard"])

log = logging.getLogger(__name__)


class Stamp(NamedTuple):
    """The time of an entry of the documents log; if not `exact`, the time at which this router first knew of it."""

    number: int
    ms: int
    exact: bool


class Sample(NamedTuple):
    """A shard's position and the head at a monotonic instant."""

    at: float
    position: int
    head: int


class Pace(NamedTuple):
    """Positions per second that a shard gained lately, and those that it gained on the head."""

    own: float
    net: float


class Lag:
    """
    The shards of `build()` compared with the head of the documents log.

    Every router finds the head for itself, also without writes and just after its start. `acknowledged()` is the newest
    position that this router stored. A shard is behind beyond `limit_seconds`.
    """

    def __init__(
        self,
        cloudwatch: CloudWatch,
        documents: Log,
        replicas: Replicas,
        *,
        build: Callable[[], str],
        acknowledged: Callable[[], int],
        limit_seconds: float,
    ) -> None:
        self.limit_seconds = limit_seconds
        self._cloudwatch = cloudwatch
        self._log = documents
        self._replicas = replicas
        self._build = build
        self._acknowledged = acknowledged
        self._found = 0
        self._found_at = monotonic()
        self._fault, self._is_damaged = "", False
        self._oldest: dict[int, Stamp] = {}
        self._samples: defaultdict[int, deque[Sample]] = defaultdict(deque)
        self._looking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        HEAD.set_function(lambda: self.head)
        UNREAD.set_function(lambda: self.unread_seconds)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._cloudwatch.publish(self.collect))
            tasks.create_task(self._keep_looking())

    async def _keep_looking(self) -> None:
        while True:
            await self._look_under_way()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Measure the lag anew; if S3 does not answer within twice STATUS_LOOK_SECONDS, the last measure stays."""
        if self._looking is not None and not self._looking.done():
            await asyncio.wait({self._looking}, timeout=STATUS_LOOK_SECONDS)
        await asyncio.wait({self._look_under_way()}, timeout=STATUS_LOOK_SECONDS)

    def _look_under_way(self) -> asyncio.Task[None]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return self._looking

    async def _look(self) -> None:
        try:
            found = await asyncio.to_thread(self._log.head, self.head)
        except (StoreError, Damaged) as error:
            self._fault = str(error)
            log.warning("the head of the documents log could not be read", extra={"reason": self._fault})
            self._is_damaged = isinstance(error, Damaged)
        else:
            self._found, self._found_at, self._fault, self._is_damaged = found, monotonic(), "", False
        for shard in range(self._replicas.shards):
            POSITIONS.labels(shard).set_function(partial(self._figure, shard, "positions"))
            SECONDS.labels(shard).set_function(partial(self._figure, shard, "seconds"))
            if (replica := self._furthest(shard)) is not None:
                await self._look_at(shard, replica.report.position)

    async def _look_at(self, shard: int, position: int) -> None:
        """Sample a shard's pace, and read the age of its first missing entry."""
        now, samples = monotonic(), self._samples[shard]
        if not samples or now - samples[-1].at >= SAMPLE_SECONDS:
            samples.append(Sample(now, position, self.head))
        while now - samples[0].at > PACE_SECONDS and len(samples) > 1:
            samples.popleft()
        if position < self.head:
            known = self._oldest.get(shard)
            if known is None or known.number != position + 1 or not known.exact:
                self._oldest[shard] = await self._stamp(position + 1, known)

    async def _stamp(self, number: int, known: Stamp | None) -> Stamp:
        try:
            return Stamp(number, tail_of(await asyncio.to_thread(self._log.read, number)).stamp_ms, True)
        except (StoreError, Damaged) as error:
            log.warning("an entry's age could not be read", extra={"position": number, "reason": str(error)})
            return known if known is not None and known.number == number else Stamp(number, self._now_ms(), False)

    def _now_ms(self) -> int:
        return self._log.store.clock.now_ms()

    @property
    def head(self) -> int:
        return max(self._found, self._acknowledged())

    @property
    def unread_seconds(self) -> float:
        """Seconds since the head was last read, or since the start of this process if it never was."""
        return monotonic() - self._found_at

    @property
    def fault(self) -> str:
        """The reason why the head is not known: damage at once, silence of S3 after a while; empty otherwise."""
        if self._is_damaged:
            return self._fault
        if self.unread_seconds <= UNREAD_SECONDS:
            return ""
        why = self._fault or "S3 has not answered yet"
        return f"the head of the documents log was last found {self.unread_seconds:.0f} s ago: {why}"

    def all(self) -> list[ShardLag]:
        return [self.of(shard) for shard in range(self._replicas.shards)]

    def of(self, shard: int) -> ShardLag:
        """Return the lag of a shard by its furthest ready replica, or by one not ready if none is."""
        replica = self._furthest(shard)
        if replica is None:
            return ShardLag("unknown", "no replica reports a position")
        position = replica.report.position
        positions = max(0, self.head - position)
        seconds, pace = self._seconds(shard, position), self._pace(shard, position)
        state, reason = self._judged(shard, replica, seconds, pace)
        return ShardLag(
            state,
            reason,
            position=position,
            positions=positions,
            seconds=round(seconds, 1),
            positions_per_second=round(pace.own, 2),
            eta_seconds=round(positions / pace.net, 1) if positions and pace.net > 0 else None,
        )

    def _furthest(self, shard: int) -> Replica | None:
        build, of_shard = self._build(), [one for one in self._replicas.all() if one.node.shard == shard]
        candidates = self._replicas.ready(shard, build) or [
            one for one in of_shard if one.reachable and family(one.report.build) == family(build)
        ]
        return max(candidates, key=lambda one: one.report.position, default=None)

    def _seconds(self, shard: int, position: int) -> float:
        """Return the lag, at least the time since the head was last read if that was long ago."""
        oldest = self._oldest.get(shard)
        age = 0.0
        if position < self.head and oldest is not None and oldest.number <= position + 1:
            age = max(0.0, (self._now_ms() - oldest.ms) / 1000)
        return max(age, self.unread_seconds) if self.fault else age

    def _pace(self, shard: int, position: int) -> Pace:
        samples = self._samples.get(shard)
        seconds = monotonic() - samples[0].at if samples else 0.0
        if not samples or seconds < SAMPLE_SECONDS:
            return Pace(0.0, 0.0)
        own = max(0, position - samples[0].position) / seconds
        return Pace(own, own - (self.head - samples[0].head) / seconds)

    def _judged(self, shard: int, furthest: Replica, seconds: float, pace: Pace) -> tuple[LagState, str]:
        position, head = furthest.report.position, self.head
        ready = self._replicas.ready(shard, self._build())
        if not ready and furthest.report.stale:
            return "standing", f"every replica has stopped: {furthest.report.stale}"
        if self.fault:
            return "unknown", self.fault
        if seconds <= self.limit_seconds:
            return "current", ""
        # The indexer was past a snapshot's position, so such a replica replays entries that are indexed already.
        if not ready and furthest.report.restored_from != LOG_ALONE:
            return "restoring", f"a replica has reached position {position} of {head}"
        if pace.own:
            return "indexing", f"position {position} of {head} is indexed"
        return "standing", f"nothing is indexed beyond position {position} of {head}"

    def _figure(self, shard: int, name: Literal["positions", "seconds"]) -> float:
        figure = getattr(self.of(shard), name)
        return math.nan if figure is None else float(figure)

    def collect(self) -> list[Datum]:
        """
        Return the lag of each shard with a ready replica, and the longest.

        A shard without one is counted as down. Without any ready replica nothing is sent, and the alarm rings on
        silence.
        """
        value, build = self._cloudwatch.value, self._build()
        lags = {shard: self.of(shard) for shard in range(self._replicas.shards) if self._replicas.ready(shard, build)}
        longest = [value("LagSeconds", "Seconds", max(lag.seconds or 0.0 for lag in lags.values()))] if lags else []
        return longest + [
            datum
            for shard, lag in lags.items()
            for datum in (
                value("LagSeconds", "Seconds", lag.seconds or 0.0, shard),
                value("LagPositions", "Count", lag.positions or 0, shard),
            )
        ]
