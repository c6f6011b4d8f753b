"""Recurrences of scheduled actions: five fields of cron, in numbers, with `*`, lists, ranges and steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_PART = re.compile(r"^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?$")


@dataclass(frozen=True)
class Cron:
    """The numbers that each field allows; whether a field of days restricts anything."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def matches(self, moment: datetime) -> bool:
        """Whether the minute of this moment is one of those meant."""
        in_time = moment.minute in self.minutes and moment.hour in self.hours and moment.month in self.months
        # Sunday is 0 or 7; a day is named by either field of days when both restrict, as cron has it.
        by_day, by_weekday = (
            moment.day in self.days,
            bool({moment.isoweekday(), moment.isoweekday() % 7} & self.weekdays),
        )
        if self.any_day or self.any_weekday:
            return in_time and by_day and by_weekday
        return in_time and (by_day or by_weekday)


def parse(text: str) -> Cron:
    """A recurrence such as `30 0 1 1,6,12 *`. Raises ValueError that says which field is wrong."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"the recurrence {text!r} has {len(fields)} fields; it needs {len(_FIELDS)}, as in '0 8 * * 1-5'."
        )
    allowed = [
        frozenset(number for part in field.split(",") for number in _numbers(part, *known))
        for field, known in zip(fields, _FIELDS, strict=True)
    ]
    minutes, hours, days, months, weekdays = allowed
    return Cron(minutes, hours, days, months, weekdays, any_day=fields[2] == "*", any_weekday=fields[4] == "*")


def _numbers(part: str, name: str, least: int, most: int) -> range:
    found = _PART.match(part)
    first = int(found[1]) if found and found[1] else least
    last = int(found[2]) if found and found[2] else first if found and found[1] and not found[3] else most
    step = int(found[3]) if found and found[3] else 1
    if not found or not least <= first <= last <= most or step < 1:
        raise ValueError(
            f"{part!r} is no {name} of a recurrence: numbers from {least} to {most}, *, ranges such as {least}-{most} "
            "and steps such as */5 are."
        )
    return range(first, last + 1, step)
