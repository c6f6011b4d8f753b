"""Scheduled actions that resize their groups when they are due; moto stores them only.

As on AWS, the start time of a recurring action is its next time. It is set when the action is put and after each run.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend

from infra.facts import cron
from rehearsal.emulator.aws.autoscaling.groups import LOCK
from rehearsal.emulator.aws.autoscaling.membership import suspended
from rehearsal.emulator.corrections import Method, corrects, replaces
from rehearsal.emulator.description_cache import changed

MINUTE, QUARTER = timedelta(minutes=1), timedelta(minutes=15)
# The 29th of February can be eight years away, around a century year that is no leap year.
LONGEST = timedelta(days=8 * 366)
# These names need no time zone database, which a machine may lack.
_UTC = (None, "UTC", "Etc/UTC")


def zone_of(name: str | None) -> tzinfo:
    """Return the time zone of this name. Raises ValueError."""
    try:
        return UTC if name in _UTC else ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"the time zone {name!r} is unknown; choose one of the tz database, or Etc/UTC.") from None


def due(action: Any, after: datetime, until: datetime) -> bool:
    """Return whether the action's next time is in (after, until]."""
    start, end = _moment(action.start_time), _moment(action.end_time)
    return start is not None and after < start <= until and (end is None or start < end)


def next_time(action: Any, now: datetime) -> datetime | None:
    """Return the first minute after `now` that the recurrence matches; None if there is none within LONGEST."""
    recurrence, zone = cron.parse(action.recurrence), zone_of(action.time_zone)
    minute = now.replace(second=0, microsecond=0) + MINUTE
    while minute < now + LONGEST:
        local = minute.astimezone(zone)
        if recurrence.matches(local):
            return minute
        # The offset of every zone from UTC is a multiple of a quarter of an hour.
        minute += (
            MINUTE if recurrence.in_hour(local) else QUARTER - (minute - datetime.min.replace(tzinfo=UTC)) % QUARTER
        )
    return None


def over(action: Any, now: datetime) -> bool:
    """Return whether the action is never due again; AWS then deletes it."""
    last = _moment(action.end_time if action.recurrence else action.start_time)
    return last is not None and last <= now


def _moment(value: datetime | str | None) -> datetime | None:
    parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
    return parsed.replace(tzinfo=UTC) if parsed and parsed.tzinfo is None else parsed


def carry_out(group: Any, action: Any) -> None:
    """Set the sizes that the action names; the others stay, within the new limits."""
    low = group.min_size if action.min_size is None else action.min_size
    high = group.max_size if action.max_size is None else action.max_size
    wanted = group.desired_capacity if action.desired_capacity is None else action.desired_capacity
    group.min_size, group.max_size = low, high
    group.set_desired_capacity(min(max(wanted, low), high))
    changed()


def step(backend: Any, now: datetime) -> None:
    """
    Carry out the actions that came due since the last step; the first step only records the time.

    The actions of a deleted group go with it, as on AWS.
    """
    after = backend.__dict__.get("schedules_seen", now)
    backend.schedules_seen = now
    for key, action in list(backend.scheduled_actions.items()):
        group = backend.autoscaling_groups.get(action.auto_scaling_group_name)
        if group is not None and due(action, after, now) and not suspended(group, "ScheduledActions"):
            carry_out(group, action)
        start = _moment(action.start_time)
        if action.recurrence and start is not None and start <= now:
            action.start_time = next_time(action, now)
        if group is None or over(action, now):
            del backend.scheduled_actions[key]


def step_all(backend: Any) -> None:
    """Carry out the actions that are due now; the emulator calls this each second."""
    with LOCK:
        step(backend, datetime.fromtimestamp(time.time(), UTC))


@corrects(AutoScalingBackend, "put_scheduled_update_group_action")
def _put_scheduled_update_group_action(plain: Method, self: Any, **asked: Any) -> Any:
    """Refuse an invalid recurrence, time zone or start time, which moto stores, and set the next time."""
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
    with LOCK:
        action = plain(self, **asked)
        # Names are a group's own on AWS; moto has one action of a name for all groups.
        self.scheduled_actions[_key(action)] = self.scheduled_actions.pop(action.scheduled_action_name)
    if action.recurrence and start is None:
        action.start_time = next_time(action, now)
    return action


def _key(action: Any) -> tuple[str, str]:
    return action.auto_scaling_group_name, action.scheduled_action_name


@replaces(AutoScalingBackend, "delete_scheduled_action")
def _delete_scheduled_action(self: Any, auto_scaling_group_name: str, scheduled_action_name: str) -> None:
    """Delete the action of this group alone."""
    with LOCK:
        if self.scheduled_actions.pop((auto_scaling_group_name, scheduled_action_name), None) is None:
            raise ValidationError("Scheduled action name not found")
