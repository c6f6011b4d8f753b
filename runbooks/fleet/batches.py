"""Batches of indexing: the indexer's group started out of schedule, and ended unless the schedule needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from runbooks.fleet.groups import group_of, last_failure
from runbooks.fleet.status import FleetError, FleetView
from vectorfleet.waiting import until

OWN_END = "index-now-end"
# AWS carries out an action up to two minutes late, and an instance takes as long to launch.
MARGIN = timedelta(minutes=5)
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class PlannedSize:
    """A scheduled action that sets the size of a group, with its next time."""

    name: str
    at: datetime
    size: int


def _next(planned: Sequence[PlannedSize]) -> PlannedSize | None:
    """Return the next action of the stack's schedule."""
    return min((one for one in planned if one.name != OWN_END), key=lambda one: one.at, default=None)


def is_scheduled(planned: Sequence[PlannedSize], now: datetime) -> bool:
    """Return whether the schedule's own batch runs, since its end comes next, or begins within MARGIN."""
    following = _next(planned)
    return following is not None and (following.size == 0 or following.at <= now + MARGIN)


def own_end(planned: Sequence[PlannedSize], now: datetime, run_seconds: float) -> datetime | None:
    """
    Return the time at which a run that starts now ends at last; None if the schedule comes first, which has an end.

    AWS refuses two actions of one time, and those of the schedule are due at full minutes.
    """
    end = (now + timedelta(seconds=run_seconds, minutes=1)).replace(second=30, microsecond=0)
    following = _next(planned)
    return end if following is None or following.at > end + MARGIN else None


class IndexerGroup:
    """The Auto Scaling group of a fleet's indexer, with its scheduled actions."""

    def __init__(self, scaling: Any, name: str) -> None:
        self._scaling, self.name = scaling, name

    @property
    def is_always_running(self) -> bool:
        """True with indexing.mode realtime."""
        return int(group_of(self._scaling, self.name)["MinSize"]) > 0

    @property
    def size(self) -> int:
        return int(group_of(self._scaling, self.name)["DesiredCapacity"])

    @property
    def last_failure(self) -> str:
        """The reason why the last launch failed; empty if none did."""
        return last_failure(self._scaling, self.name)

    def planned(self) -> list[PlannedSize]:
        pages = self._scaling.get_paginator("describe_scheduled_actions").paginate(AutoScalingGroupName=self.name)
        found = [one for page in pages for one in page["ScheduledUpdateGroupActions"]]
        return [
            PlannedSize(one["ScheduledActionName"], one["StartTime"], int(one["DesiredCapacity"]))
            for one in found
            if "DesiredCapacity" in one and "StartTime" in one
        ]

    def start(self, run_seconds: float) -> None:
        """Set the size to 1, after an action that ends the run should its caller not: each call may be the last."""
        now = datetime.now(UTC)
        if end := own_end(self.planned(), now, run_seconds):
            self._scaling.put_scheduled_update_group_action(
                AutoScalingGroupName=self.name, ScheduledActionName=OWN_END, StartTime=end, DesiredCapacity=0
            )
        self._set_size(1)

    def end(self) -> bool:
        """Set the size to 0 unless the schedule's own batch runs or is due; return whether it did."""
        planned = self.planned()
        ends = not is_scheduled(planned, datetime.now(UTC))
        if ends:
            self._set_size(0)
        # Only now: without this action nothing would end the group if AWS refused the size.
        if any(one.name == OWN_END for one in planned):
            self._scaling.delete_scheduled_action(AutoScalingGroupName=self.name, ScheduledActionName=OWN_END)
        return ends

    def _set_size(self, size: int) -> None:
        self._scaling.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=size)


@dataclass(frozen=True)
class Progress:
    """The way of searches to the position `head`, over all shards; `eta_seconds` is None while unknown."""

    head: int
    position: int
    rows: int
    eta_seconds: float | None
    indexer: str

    @property
    def covered(self) -> bool:
        """Every ready replica of every shard has applied the head."""
        return self.position >= self.head

    @property
    def positions_behind(self) -> int:
        return max(0, self.head - self.position)


def progress(view: FleetView, head: int) -> Progress:
    """Return the progress by the slowest ready replica."""
    ready = [view.ready_of(shard) for shard in range(view.shards)]
    etas = [lag.eta_seconds for lag in view.lags if lag.positions]
    known = [eta for eta in etas if eta is not None]
    return Progress(
        head=head,
        position=view.position,
        rows=sum(max((one.rows for one in ones), default=0) for ones in ready),
        eta_seconds=max(known) if known and len(known) == len(etas) else None,
        indexer=view.indexer,
    )


class Batch:
    """
    A batch from now on, up to the documents head that the first look finds.

    `look` returns the fleet; `say` takes a sentence, `show` each progress. The run lasts `within_seconds` at most.
    """

    def __init__(
        self,
        look: Callable[[], FleetView],
        group: IndexerGroup,
        *,
        within_seconds: float,
        say: Callable[[str], None],
        show: Callable[[Progress], None],
    ) -> None:
        self._look, self._group = look, group
        self._say, self._show = say, show
        self._began = time.monotonic()
        self._within_seconds = within_seconds
        self._always = group.is_always_running
        first = look()
        if first.head_fault:
            raise FleetError(f"the head of the documents log is not known: {first.head_fault}")
        self.progress = progress(first, first.head)

    @property
    def seconds(self) -> float:
        """Seconds since the begin."""
        return time.monotonic() - self._began

    def start(self) -> None:
        """Start the indexer if anything is left to index and none is started."""
        if self.progress.covered:
            return
        if self._always:
            self._say("The indexer of this fleet always runs (indexing.mode realtime), so nothing is started.")
        elif self._group.size:
            self._say(f"The group {self._group.name} runs the indexer already.")
        else:
            self._group.start(self._within_seconds)
            self._say(f"The group {self._group.name} starts the indexer.")

    def wait(self) -> bool:
        """Wait until the head is covered; return False when the time is over."""
        return until(self._is_covered, self._within_seconds - self.seconds, POLL_SECONDS)

    def _is_covered(self) -> bool:
        try:
            self.progress = progress(self._look(), self.progress.head)
        except FleetError:
            return False
        self._show(self.progress)
        if not self.progress.covered and not self._always:
            self._keep_running()
        return self.progress.covered

    def _keep_running(self) -> None:
        """Start the indexer again if the schedule's end, or another caller's, came before the head was covered."""
        try:
            if not self._group.size:
                self._group.start(self._within_seconds - self.seconds)
                self._say("The indexer was ended before all was indexed, and is started again.")
        except ClientError as error:
            # The group is busy with the end; the next look tries again.
            if error.response["Error"]["Code"] != "ScalingActivityInProgress":
                raise

    def end(self) -> str:
        """End the indexer unless it belongs to the schedule; return what became of it, in a word or two."""
        if self._always:
            return "always runs"
        return "ended" if self._group.end() else "left to the schedule"

    def trouble(self) -> str:
        """Return why the head is not covered yet, as far as it is known."""
        where = f"position {max(0, self.progress.position)} of {self.progress.head}"
        failure = "" if self.progress.indexer != "scheduled" else self._group.last_failure
        return f"searches reflect {where}, the indexer is {self.progress.indexer}" + (
            f"; the last launch failed: {failure}" if failure else ""
        )
