"""Scheduled actions that size their groups when their time comes.

Corrects in moto 5.2.5: they are stored, whatever their recurrence and time zone, and nothing ever happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend

from rehearsal.emulator import cron
from rehearsal.emulator.answers import changed
from rehearsal.emulator.autoscaling import LOCK
from rehearsal.emulator.membership import suspended

MINUTE = timedelta(minutes=1)
# By these names no database of time zones is asked, which a machine may lack.
_UTC = (None, "UTC", "Etc/UTC")


def zone_of(name: str | None) -> tzinfo:
    """The time zone of a name. Raises ValueError for one that is not known."""
    try:
        return UTC if name in _UTC else ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(
            f"the time zone {name!r} is not known here; name one of the tz database, or Etc/UTC."
        ) from None


def due(action: Any, after: datetime, until: datetime) -> bool:
    """Whether the action's time came after the one moment and not after the other."""
    start, end = _moment(action.start_time), _moment(action.end_time)
    if not action.recurrence:
        return start is not None and after < start <= until
    recurrence, zone = cron.parse(action.recurrence), zone_of(action.time_zone)
    return any(
        recurrence.matches(minute.astimezone(zone))
        for minute in _minutes(after, until)
        if (start is None or minute >= start) and (end is None or minute < end)
    )


def over(action: Any, now: datetime) -> bool:
    """Whether the action will never come again; AWS then forgets it."""
    last = _moment(action.end_time if action.recurrence else action.start_time)
    return last is not None and last <= now


def _minutes(after: datetime, until: datetime) -> Iterator[datetime]:
    """The full minutes after the one moment and not after the other."""
    minute = after.replace(second=0, microsecond=0) + MINUTE
    while minute <= until:
        yield minute
        minute += MINUTE


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
        if over(action, now):
            del backend.scheduled_actions[name]


def step_all(backend: Any) -> None:
    """Carry out what is due now; the emulator calls this each second."""
    with LOCK:
        step(backend, datetime.fromtimestamp(time.time(), UTC))


def _put(plain: Callable[..., Any]) -> Callable[..., Any]:
    def put_scheduled_update_group_action(self: Any, **asked: Any) -> Any:
        try:
            zone_of(asked["timezone"])
            if asked["recurrence"]:
                cron.parse(asked["recurrence"])
        except ValueError as problem:
            raise ValidationError(f"Given recurrence or time zone is invalid: {problem}") from None
        return plain(self, **asked)

    return put_scheduled_update_group_action


def install() -> None:
    """Put the correction on moto's class."""
    AutoScalingBackend.put_scheduled_update_group_action = _put(AutoScalingBackend.put_scheduled_update_group_action)
