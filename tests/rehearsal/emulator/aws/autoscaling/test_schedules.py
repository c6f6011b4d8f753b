"""Scheduled actions: when they are due, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.emulator.aws.autoscaling.schedules import next_time, step, zone_of

EIGHT = datetime(2026, 1, 1, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Group(SimpleNamespace):
    """A group that only stores its size."""

    def set_desired_capacity(self, wanted: int) -> None:
        self.desired_capacity = wanted


def action(**more: Any) -> SimpleNamespace:
    given = {"recurrence": None, "time_zone": "Etc/UTC", "start_time": None, "end_time": None}
    sizes = {"min_size": None, "max_size": None, "desired_capacity": None}
    return SimpleNamespace(auto_scaling_group_name="cell", **given | sizes | more)


def cloud(**actions: SimpleNamespace) -> tuple[Any, Group]:
    """Make a backend with a group of size 1, from 0 to 4."""
    group = Group(min_size=0, max_size=4, desired_capacity=1, suspended_processes=[])
    return SimpleNamespace(scheduled_actions=dict(actions), autoscaling_groups={"cell": group}), group


def run(backend: Any, start: datetime, seconds: int) -> None:
    """Step once a second; actions without a start were put at the first step."""
    for found in backend.scheduled_actions.values():
        found.start_time = found.start_time or next_time(found, start)
    for number in range(seconds + 1):
        step(backend, start + number * SECOND)


def sizes(group: Group) -> tuple[int, int, int]:
    return group.min_size, group.desired_capacity, group.max_size


def test_a_recurring_action_runs_once_at_its_minute() -> None:
    backend, group = cloud(morning=action(recurrence="0 8 * * *", min_size=2, max_size=6, desired_capacity=3))
    run(backend, EIGHT - 5 * SECOND, 4)
    assert sizes(group) == (0, 1, 4)
    run(backend, EIGHT - SECOND, 1)
    assert sizes(group) == (2, 3, 6)
    group.desired_capacity = 5
    run(backend, EIGHT + SECOND, 70)
    assert (sizes(group), list(backend.scheduled_actions)) == ((2, 5, 6), ["morning"])


def test_a_late_start_misses_its_minute_a_slow_clock_does_not() -> None:
    backend, group = cloud(morning=action(recurrence="0 8 * * *", desired_capacity=3))
    run(backend, EIGHT, 30)
    assert group.desired_capacity == 1
    step(backend, EIGHT + timedelta(hours=24, minutes=7))
    assert group.desired_capacity == 3


def test_sizes_that_an_action_does_not_name_stay() -> None:
    for given, expected in (({"min_size": 2}, (2, 2, 4)), ({"max_size": 0}, (0, 0, 0)), ({"max_size": 9}, (0, 1, 9))):
        backend, group = cloud(morning=action(recurrence="0 8 * * *", **given))
        run(backend, EIGHT - SECOND, 1)
        assert sizes(group) == expected


def test_times_are_those_of_the_zone_and_of_the_span() -> None:
    berlin = action(recurrence="0 9 * * *", time_zone="Europe/Berlin", desired_capacity=3)
    backend, group = cloud(berlin=berlin)
    run(backend, EIGHT - SECOND, 1)
    assert group.desired_capacity == 3
    over = action(recurrence="0 8 * * *", end_time=EIGHT - SECOND, desired_capacity=4)
    backend, group = cloud(over=over)
    run(backend, EIGHT - SECOND, 1)
    assert (group.desired_capacity, list(backend.scheduled_actions)) == (1, [])
    with pytest.raises(ValueError, match="time zone 'Europe/Nowhere' is unknown"):
        zone_of("Europe/Nowhere")


def test_an_action_runs_at_its_start_then_by_its_recurrence() -> None:
    half_past = EIGHT + timedelta(minutes=30)
    backend, group = cloud(later=action(recurrence="0 9 * * *", start_time=half_past, desired_capacity=2))
    run(backend, half_past - SECOND, 1)
    assert group.desired_capacity == 2
    assert backend.scheduled_actions["later"].start_time == EIGHT + timedelta(hours=1)


@pytest.mark.parametrize(
    ("recurrence", "zone", "expected"),
    [
        ("0 8 * * *", "Etc/UTC", "2026-01-02T08:00+00:00"),
        ("59 8 * * *", "Asia/Kathmandu", "2026-01-02T03:14+00:00"),
        ("30 2 29 2 *", "Etc/UTC", "2028-02-29T02:30+00:00"),
        ("30 2 29 3 *", "Europe/Berlin", "2027-03-29T00:30+00:00"),
    ],
)
def test_the_next_time_is_the_first_that_matches(recurrence: str, zone: str, expected: str) -> None:
    found = next_time(action(recurrence=recurrence, time_zone=zone), EIGHT)
    assert found == datetime.fromisoformat(expected)


def test_an_action_without_recurrence_runs_once_and_is_deleted() -> None:
    backend, group = cloud(once=action(start_time="2026-01-01T08:00:00", desired_capacity=3))
    run(backend, EIGHT - 2 * SECOND, 1)
    assert (group.desired_capacity, list(backend.scheduled_actions)) == (1, ["once"])
    run(backend, EIGHT - SECOND, 1)
    assert (group.desired_capacity, list(backend.scheduled_actions)) == (3, [])


def test_a_suspended_process_lets_the_time_pass() -> None:
    backend, group = cloud(morning=action(recurrence="0 8 * * *", desired_capacity=3))
    group.suspended_processes = [{"ProcessName": "ScheduledActions"}]
    run(backend, EIGHT - SECOND, 1)
    assert group.desired_capacity == 1
