"""Numbers of command lines: finite, and between two bounds."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A number between two bounds. Click's own range takes NaN, and infinity where it lacks a bound."""

    def __init__(self, least: float, most: float, *, least_open: bool = False, most_open: bool = False) -> None:
        super().__init__(least, most, min_open=least_open, max_open=most_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType.convert`."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return found


SHARD = click.IntRange(0, 9_999)
WEEK_SECONDS = click.IntRange(1, 7 * 86_400)
