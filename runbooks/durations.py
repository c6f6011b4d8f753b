"""Durations as text on a page or a command line: `90s`, `10m`, `1h30m`, `0.25s`."""

from __future__ import annotations

import re

import click

MOST_SECONDS = 31 * 86_400.0
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")


def parse_seconds(text: str) -> float:
    """Return the seconds of a duration. Raises ValueError with a sentence for any other text."""
    found = _DURATION.fullmatch(text.strip())
    if not text.strip() or found is None:
        raise ValueError(f"`{text}` is not a duration: write hours, minutes and seconds as in 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(found[unit] or 0) for unit in "hms")
    total = hours * 3600 + minutes * 60 + seconds
    if total > MOST_SECONDS:
        raise ValueError(f"`{text:.40}` is too long: a duration is at most 744h, which are 31 days")
    return total


def spoken(seconds: float) -> str:
    """Return the shortest exact text of a duration: `1m30s` for 90, `0.25s` for 0.25."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else ""]
    if rest or not (hours or minutes):
        parts.append(f"{round(rest, 3):g}s")
    return "".join(parts)


class Duration(click.ParamType[float]):
    """A click parameter that is a duration, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            return parse_seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Duration()
