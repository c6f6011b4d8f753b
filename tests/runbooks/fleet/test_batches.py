"""Batches out of schedule: when the group may be ended, and what is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from infra.stack.outputs import StackError
from runbooks.fleet import batches
from runbooks.fleet.batches import MARGIN, OWN_END, Batch, IndexerGroup, PlannedSize, is_scheduled, own_end, progress
from runbooks.fleet.status import FleetError, FleetView, LagView, ReplicaView
from tests.runbooks.aws_groups import TEMPLATE, make_template
from tests.stack_outputs import a_stack

NOW = datetime(2026, 1, 1, 8, 50, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HEAD = 7


def schedule(begin: float, end: float) -> list[PlannedSize]:
    """The schedule's two actions, so many minutes from NOW."""
    return [PlannedSize("Indexer-begin", NOW + begin * MINUTE, 1), PlannedSize("Indexer-end", NOW + end * MINUTE, 0)]


@pytest.mark.parametrize(
    ("planned", "scheduled"),
    [
        (schedule(60, 45), True),
        (schedule(59, -1), True),
        (schedule(10, 55), False),
        (schedule(5.1, 55), False),
        (schedule(5, 55), True),
        (schedule(-0.5, 44), True),
        ([], False),
        ([PlannedSize(OWN_END, NOW + MINUTE, 0)], False),
        ([*schedule(10, 55), PlannedSize(OWN_END, NOW + MINUTE, 0)], False),
    ],
)
def test_a_batch_is_the_schedules_by_its_next_action(planned: list[PlannedSize], scheduled: bool) -> None:
    assert is_scheduled(planned, NOW) is scheduled


@pytest.mark.parametrize(
    ("planned", "seconds", "end"),
    [
        ([], 600, NOW + 11.5 * MINUTE),
        (schedule(24 * 60, 24 * 60 + 45), 600, NOW + 11.5 * MINUTE),
        (schedule(10, 55), 600, None),
        (schedule(60, 45), 3600, None),
        (schedule(60, 45), 600, NOW + 11.5 * MINUTE),
        ([PlannedSize(OWN_END, NOW + MINUTE, 0)], 600, NOW + 11.5 * MINUTE),
    ],
)
def test_a_run_ends_by_itself_unless_the_schedule_does(
    planned: list[PlannedSize], seconds: float, end: datetime | None
) -> None:
    assert own_end(planned, NOW, seconds) == end


@given(
    begin=st.integers(1, 1500),
    length=st.integers(5, 59),
    seconds=st.floats(0, 86_400),
    past=st.timedeltas(timedelta(0), timedelta(minutes=1)),
)
def test_no_own_end_lies_within_a_scheduled_batch(begin: int, length: int, seconds: float, past: timedelta) -> None:
    now = NOW + past
    end = own_end(schedule(begin, begin + length), now, seconds)
    assert end is None or (now < end and end + MARGIN < NOW + begin * MINUTE and end.second == 30)


def fleet(*positions: int, head: int = HEAD, fault: str = "", eta: float | None = None) -> FleetView:
    """Two shards with these replicas in turn; a negative position is a replica that is not ready."""
    replicas = tuple(
        ReplicaView(number % 2, ready=position >= 0, position=max(0, position), rows=10 * position)
        for number, position in enumerate(positions)
    )
    lags = (LagView(0, "current", "", positions=0), LagView(1, "current", "", positions=1, eta_seconds=eta))
    return FleetView(head, 2, replicas, lags, head_fault=fault, indexers=(), scheduled=True)


@pytest.mark.parametrize(
    ("found", "position", "rows"),
    [
        (fleet(7, 7), 7, 140),
        (fleet(7, 7, 6, 7), 6, 140),
        (fleet(9, 7, -1, 8), 7, 170),
        (fleet(7, -1), -1, 70),
    ],
)
def test_the_slowest_ready_replica_decides(found: FleetView, position: int, rows: int) -> None:
    seen = progress(found, HEAD)
    assert (seen.position, seen.rows, seen.covered) == (position, rows, position >= HEAD)
    assert seen.indexer == "scheduled"


def test_the_time_left_is_unknown_while_a_shard_has_none() -> None:
    assert progress(fleet(7, 6, eta=12.0), HEAD).eta_seconds == 12.0
    assert progress(fleet(7, 6), HEAD).eta_seconds is None


@pytest.fixture(scope="module")
def scaling(mocked_aws: None) -> Any:
    stack = a_stack()
    make_template(stack.aws("ec2"))
    return stack.aws("autoscaling")


@pytest.fixture
def group(scaling: Any, request: pytest.FixtureRequest) -> Iterator[IndexerGroup]:
    """A group that a schedule starts in an hour, and that has no instance."""
    name = request.node.name
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": TEMPLATE},
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=0,
        AvailabilityZones=["us-east-1a"],
    )
    plan(scaling, name, begin=60, end=105)
    yield IndexerGroup(scaling, name)
    scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
    for one in IndexerGroup(scaling, name).planned():
        scaling.delete_scheduled_action(AutoScalingGroupName=name, ScheduledActionName=one.name)


def plan(scaling: Any, name: str, **minutes: int) -> None:
    """Put the schedule's begin and end, so many minutes from now."""
    for action, distance in minutes.items():
        scaling.put_scheduled_update_group_action(
            AutoScalingGroupName=name,
            ScheduledActionName=f"Indexer-{action}",
            StartTime=datetime.now(UTC) + distance * MINUTE,
            Recurrence="0 * * * *",
            DesiredCapacity=int(action == "begin"),
        )


class Run:
    """A batch over these views, one after the other; the last one stays."""

    def __init__(self, group: IndexerGroup, *views: FleetView, seconds: float = 600) -> None:
        self._left = list(views)
        self.said: list[str] = []
        self.batch = Batch(self._look, group, within_seconds=seconds, say=self.said.append, show=lambda _: None)

    def _look(self) -> FleetView:
        if len(self._left) == 1:
            return self._left[0]
        return self._left.pop(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "POLL_SECONDS", 0.001)


def test_a_batch_starts_waits_and_ends_the_indexer(group: IndexerGroup) -> None:
    run = Run(group, fleet(7, 3), fleet(7, 5), fleet(7, 7, head=9))
    run.batch.start()
    assert group.size == 1
    assert OWN_END in [one.name for one in group.planned()]
    assert run.batch.wait()
    assert run.batch.end() == "ended"
    assert group.size == 0
    assert {one.name for one in group.planned()} == {"Indexer-begin", "Indexer-end"}
    assert run.said == [f"The group {group.name} starts the indexer."]


def test_a_batch_of_the_schedule_is_not_cut_off(group: IndexerGroup, scaling: Any) -> None:
    plan(scaling, group.name, begin=60, end=30)
    scaling.set_desired_capacity(AutoScalingGroupName=group.name, DesiredCapacity=1)
    run = Run(group, fleet(7, 3), fleet(7, 7))
    run.batch.start()
    assert run.said == [f"The group {group.name} runs the indexer already."]
    assert run.batch.wait()
    assert (run.batch.end(), group.size) == ("left to the schedule", 1)


def test_nothing_is_started_when_all_is_indexed(group: IndexerGroup) -> None:
    run = Run(group, fleet(7, 7))
    run.batch.start()
    assert run.batch.progress.covered
    assert (run.said, group.size, run.batch.end()) == ([], 0, "ended")


def test_an_indexer_that_was_ended_early_is_started_again(group: IndexerGroup, scaling: Any) -> None:
    run = Run(group, fleet(7, 3), fleet(7, 3), fleet(7, 7))
    run.batch.start()
    scaling.set_desired_capacity(AutoScalingGroupName=group.name, DesiredCapacity=0)
    assert run.batch.wait()
    assert run.said[1:] == ["The indexer was ended before all was indexed, and is started again."]
    assert group.size == 1


def test_a_busy_group_is_asked_again(group: IndexerGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(group, fleet(7, 3), fleet(7, 3), fleet(7, 3), fleet(7, 7))
    refusals = ["ScalingActivityInProgress"]
    start = group.start

    def busy(run_seconds: float) -> None:
        if refusals:
            raise ClientError({"Error": {"Code": refusals.pop(), "Message": ""}}, "SetDesiredCapacity")
        start(run_seconds)

    monkeypatch.setattr(group, "start", busy)
    assert run.batch.wait()
    assert (refusals, group.size) == ([], 1)


def test_a_group_that_always_runs_is_only_waited_for(group: IndexerGroup, scaling: Any) -> None:
    scaling.update_auto_scaling_group(AutoScalingGroupName=group.name, MinSize=1, DesiredCapacity=1)
    run = Run(group, fleet(7, 3), fleet(7, 7))
    run.batch.start()
    assert run.batch.wait()
    assert (run.batch.end(), group.size) == ("always runs", 1)
    assert "(indexing.mode realtime)" in run.said[0]


def test_time_over_says_how_far_searches_are(group: IndexerGroup) -> None:
    run = Run(group, fleet(7, 3), seconds=0.01)
    assert not run.batch.wait()
    assert run.batch.trouble() == "searches reflect position 3 of 7, the indexer is scheduled"


def test_an_unknown_head_is_no_aim(group: IndexerGroup) -> None:
    with pytest.raises(FleetError, match="head of the documents log is not known: S3 is silent"):
        Run(group, fleet(7, 7, fault="S3 is silent"))


def test_a_group_that_does_not_exist_is_named(scaling: Any) -> None:
    with pytest.raises(StackError, match="no Auto Scaling group nothing"):
        Run(IndexerGroup(scaling, "nothing"), fleet(7, 7))
