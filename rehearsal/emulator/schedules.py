"""Scheduled actions that size their groups when their time comes.

Corrects in moto 5.2.5: they are stored, whatever their recurrence, time zone and start, and nothing ever happens. As on
AWS, the start time of a recurring action is its next time: filled in when it is put and after each run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend

from infra import cron
from rehearsal.emulator.answers import changed
from rehearsal.emulator.autoscaling import LOCK
from rehearsal.emulator.membership import suspended

MINUTE, QUARTER = timedelta(minutes=1), timedelta(minutes=15)
# The 29th of February may be eight years away, where a year that ends a century has none.
LONGEST = timedelta(days=8 * 366)
# By these names no database of time zones is asked, which a machine may lack.
_UTC = (None, "UTC", "Etc/UTC")


def zone_of(name: str | None) -> tzinfo:
    """Look up a time zone. Raises ValueError for one that is not known."""
    try:
        return UTC if name in _UTC else ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(
            f"the time zone {name!r} is not known here; name one of the tz database, or Etc/UTC."
        ) from None


def due(action: Any, after: datetime, until: datetime) -> bool:
    """Say whether the action's next time came after the one moment and not after the other."""
    start, end = _moment(action.start_time), _moment(action.end_time)
    return start is not None and after < start <= until and (end is None or start < end)


def next_time(action: Any, now: datetime) -> datetime | None:
    """The first minute after now at which a recurrence comes; None where it does not within LONGEST."""
    recurrence, zone = cron.parse(action.recurrence), zone_of(action.time_zone)
    minute = now.replace(second=0, microsecond=0) + MINUTE
    while minute < now + LONGEST:
        local = minute.astimezone(zone)
        if recurrence.matches(local):
            return minute
        # Every zone is whole quarters of an hour away from UTC.
        minute += (
            MINUTE if recurrence.in_hour(local) else QUARTER - (minute - datetime.min.replace(tzinfo=UTC)) % QUARTER
        )
    return None


def over(action: Any, now: datetime) -> bool:
    """Whether the action will never come again; AWS then forgets it."""
    last = _moment(action.end_time if action.recurrence else action.start_time)
    return last is not None and last <= now


def _moment(value: datetime | str | None) -> datetime | None:
    parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
    return parsed.replace(tzinfo=UTC) if parsed and parsed.tzinfo is None else parsed


def carry_out(group: Any, action: Any) -> None:
    """Give the group the sizes that the action names; the others stay as far as they fit."""
    low = group.min_size if action.min_size is None else action.min_size
    high = group.max_size if action.max_size is None else action.max_size
    wanted = group.desired_capacity if action.desired_capacity is None else action.desired_capacity
    group.min_size, group.max_size = low, high
    group.set_desired_capacity(min(max(wanted, low), high))
    changed()


def step(backend: Any, now: datetime) -> None:
    """Carry out what came due since the last step; the first one only notes the time."""
    after = backend.__dict__.get("schedules_seen", now)
    backend.schedules_seen = now
    for name, action in list(backend.scheduled_actions.items()):
        group = backend.autoscaling_groups.get(action.auto_scaling_group_name)
        if group is not None and due(action, after, now) and not suspended(group, "ScheduledActions"):
            carry_out(group, action)
        start = _moment(action.start_time)
        if action.recurrence and start is not None and start <= now:
            action.start_time = next_time(action, now)
        if over(action, now):
            del backend.scheduled_actions[name]


def step_all(backend: Any) -> None:
    """Carry out what is due now; the emulator calls this each second."""
    with LOCK:
        step(backend, datetime.fromtimestamp(time.time(), UTC))


def _put(plain: Callable[..., Any]) -> Callable[..., Any]:
    def put_scheduled_update_group_action(self: Any, **asked: Any) -> Any:
        now = datetime.fromtimestamp(time.time(), UTC)
        try:
            zone_of(asked["timezone"])
            if asked["recurrence"]:
                cron.parse(asked["recurrence"])
        except ValueError as wrong:
            raise ValidationError(f"Given recurrence or time zone is invalid: {wrong}") from None
        start = _moment(asked["start_time"])
        if start is not None and start <= now:
            raise ValidationError("Given start time is in the past")
        action = plain(self, **asked)
        if action.recurrence and start is None:
            action.start_time = next_time(action, now)
        return action

    return put_scheduled_update_group_action


def install() -> None:
    """Put the correction on moto's class."""
    AutoScalingBackend.put_scheduled_update_group_action = _put(AutoScalingBackend.put_scheduled_update_group_action)
