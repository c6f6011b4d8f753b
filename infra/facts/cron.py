"""Recurrences of scheduled actions: the five fields of Unix cron that EC2 Auto Scaling takes. Pure."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

A_LEAP_YEAR = 2024


class Field(NamedTuple):
    """One field: its bounds, and the names for its numbers from `least` on."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, tuple(name.upper() for name in calendar.month_abbr[1:])),
    Field("day of the week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)
_NUMBER = r"([0-9]{1,2}|[A-Z]{3})"
_PART = re.compile(rf"(?:\*|{_NUMBER}(?:-{_NUMBER})?)(?:/([0-9]{{1,2}}))?")


@dataclass(frozen=True)
class Cron:
    """The numbers that each field allows; `any_day` and `any_weekday` mark a field of days without restriction."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def matches(self, moment: datetime) -> bool:
        """Say whether the recurrence fires in this minute."""
        return moment.minute in self.minutes and self.in_hour(moment)

    def in_hour(self, moment: datetime) -> bool:
        """Say whether the recurrence fires in some minute of this hour."""
        in_time = moment.hour in self.hours and moment.month in self.months
        # Sunday is 0 or 7. When both fields of days restrict, either one is enough, as in cron.
        by_day = moment.day in self.days
        by_weekday = bool({moment.isoweekday(), moment.isoweekday() % 7} & self.weekdays)
        if self.any_day or self.any_weekday:
            return in_time and by_day and by_weekday
        return in_time and (by_day or by_weekday)


def parse(text: str) -> Cron:
    """
    Read a recurrence such as `30 0 1 1,6,12 *`.

    Raises ValueError that names the wrong field, also if none of the months has one of the days.
    """
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"the recurrence {text!r} has {len(fields)} fields; write {len(FIELDS)}, as in '0 8 * * 1-5'")
    minutes, hours, days, months, weekdays = (
        frozenset(number for part in given.split(",") for number in _numbers(part, field))
        for given, field in zip(fields, FIELDS, strict=True)
    )
    any_day, any_weekday = (fields[index].startswith("*") for index in (2, 4))
    if any_weekday and min(days) > max(calendar.monthrange(A_LEAP_YEAR, month)[1] for month in months):
        raise ValueError(f"the recurrence {text!r} never fires: no month {fields[3]} has a day {fields[2]}")
    return Cron(minutes, hours, days, months, weekdays, any_day, any_weekday)


def problem(text: str) -> str:
    """Return the error of a recurrence, or an empty text."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


def _numbers(part: str, field: Field) -> range:
    found = _PART.fullmatch(part.upper())
    if found:
        first, last, step = _bounds(found, field)
        if field.least <= first <= last <= field.most and step >= 1:
            return range(first, last + 1, step)
    names = f", names from {field.names[0]} to {field.names[-1]}" if field.names else ""
    raise ValueError(
        f"{part!r} is not a valid {field.name} of a recurrence; allowed: numbers from {field.least} to "
        f"{field.most}{names}, *, ranges such as {field.least}-{field.most}, or steps such as */5"
    )


def _bounds(found: re.Match[str], field: Field) -> tuple[int, int, int]:
    """Return the first and last number of a part, and its step. A number with a step counts to the field's end."""
    least, most, step = found.groups()
    if least is None:
        return field.least, field.most, int(step or 1)
    first = _number(least, field)
    last = _number(most, field) if most else field.most if step else first
    return first, last, int(step or 1)


def _number(text: str, field: Field) -> int:
    """Return the number of a name; -1, which no field allows, for a name of another field."""
    if text.isdecimal():
        return int(text)
    return field.names.index(text) + field.least if text in field.names else -1
