"""Evaluation of metric alarms as in CloudWatch: pure functions of data, definition and time.

The CloudWatch user guide has the rules: "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data".
The evaluation range is longer than the evaluation periods. Real points count first, wherever they are in the range, and
missing points are filled in only if the real ones do not suffice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from rehearsal.emulator.alarms import expressions
from rehearsal.emulator.alarms.metrics import Metric, Summary, percentile_of

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Missing = Literal["missing", "breaching", "notBreaching", "ignore"]
Summaries = Callable[[Metric, Sequence[int], int], dict[int, Summary]]

# The guide's examples look back 5 periods for an alarm over 3.
EXTRA_PERIODS = 2
_COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (lambda value, limit: value > limit, "greater than"),
    "GreaterThanOrEqualToThreshold": (lambda value, limit: value >= limit, "greater than or equal to"),
    "LessThanThreshold": (lambda value, limit: value < limit, "less than"),
    "LessThanOrEqualToThreshold": (lambda value, limit: value <= limit, "less than or equal to"),
}


@dataclass(frozen=True)
class Query:
    """A metric of an alarm, or an expression over others (`metric` None)."""

    id: str
    metric: Metric | None = None
    statistic: str = "Average"
    expression: str = ""
    returns: bool = True


@dataclass(frozen=True)
class Definition:
    """The definition of an alarm: `needed` of the last `periods` points must breach the threshold."""

    queries: tuple[Query, ...]
    period_seconds: int
    periods: int
    needed: int
    comparison: str
    threshold: float
    missing: Missing = "missing"
    ignore_low_samples: bool = False

    def breaches(self, value: float) -> bool:
        return _COMPARISONS[self.comparison][0](value, self.threshold)

    def starts(self, now_seconds: float) -> list[int]:
        """Return the starts of the complete periods of the evaluation range, oldest first."""
        end = int(now_seconds) // self.period_seconds * self.period_seconds
        count = self.periods + EXTRA_PERIODS
        return [end - self.period_seconds * back for back in range(count, 0, -1)]


@dataclass(frozen=True)
class Verdict:
    """A state with its reason, and the points that decided it (oldest first)."""

    state: State
    reason: str
    points: tuple[float, ...] = ()
    starts: tuple[int, ...] = ()


def _decide(definition: Definition, points: Sequence[float | None], current: State) -> State:
    """Return the state for the points of the evaluation range (oldest first, None = missing)."""
    real = [point for point in points if point is not None][-definition.periods :]
    breaching = sum(definition.breaches(point) for point in real)
    if breaching >= definition.needed:
        return "ALARM"
    gaps = definition.periods - len(real)
    if gaps == 0 or definition.missing == "notBreaching":
        return "OK"
    if definition.missing == "breaching":
        return "ALARM" if breaching + gaps >= definition.needed else "OK"
    return _with_gaps(definition, points, real, breaching, current)


def _with_gaps(
    definition: Definition, points: Sequence[float | None], real: list[float], breaching: int, current: State
) -> State:
    """Return the state for too few points, if missing ones are `missing` or `ignore`."""
    ignore = definition.missing == "ignore"
    if not real:
        return current if ignore else "INSUFFICIENT_DATA"
    if breaching < len(real):
        return "OK"
    # All real points breach. If they are as old as `needed` periods, they alarm although later ones are missing.
    # Younger ones may be the first points of a metric, which decide nothing yet.
    age = len(points) - next(i for i, point in enumerate(points) if point is not None)
    return "ALARM" if age >= definition.needed and not ignore else current


def _too_few_samples(statistic: str, summary: Summary) -> bool:
    """Return whether the samples are too few for a percentile: fewer than 10 / (1 - p) above the median."""
    percent = percentile_of(statistic)
    if percent is None:
        return False
    share = percent / 100
    tail = 1 - share if share >= 0.5 else share
    return tail > 0 and summary.count < 10 / tail


def _significant(query: Query, found: dict[int, Summary]) -> dict[int, Summary]:
    """Return the periods with enough samples for the query's percentile."""
    return {start: samples for start, samples in found.items() if not _too_few_samples(query.statistic, samples)}


def _series(
    definition: Definition, starts: Sequence[int], summaries: Summaries
) -> tuple[expressions.Series, int | None]:
    """Return the alarm's series, and the newest period that was left out for too few samples, or None."""
    series: dict[str, expressions.Series] = {}
    left_out: set[int] = set()
    returned = ""
    # Expressions come after all metrics, in their order, since each may name those before it.
    for query in sorted(definition.queries, key=lambda query: query.metric is None):
        if query.metric:
            found = summaries(query.metric, starts, definition.period_seconds)
            kept = _significant(query, found) if definition.ignore_low_samples else found
            left_out |= set(found) - set(kept)
            values = {start: kept[start].statistic(query.statistic) for start in starts if start in kept}
            series[query.id] = {start: value for start, value in values.items() if value is not None}
        else:
            series[query.id] = expressions.evaluate(query.expression, series, starts)
        returned = query.id if query.returns else returned
    return series[returned], max(left_out, default=None)


def evaluate(definition: Definition, summaries: Summaries, now_seconds: float, current: State) -> Verdict:
    """Evaluate an alarm at an instant (Unix time), given its current state. Raises ExpressionError or ValueError.

    `summaries` returns the samples by start for (metric, period starts, period). If the definition ignores low samples,
    a period with too few samples for the percentile is missing, and keeps the state while it is the newest one.
    """
    starts = definition.starts(now_seconds)
    series, left_out = _series(definition, starts, summaries)
    if left_out is not None and left_out > max(series, default=0):
        return Verdict(current, "Unchanged: too few samples for the percentile to be significant.")
    state = _decide(definition, [series.get(start) for start in starts], current)
    used = [(start, series[start]) for start in starts if start in series][-definition.periods :]
    return Verdict(
        state,
        _reason(definition, state, used),
        tuple(value for _, value in used),
        tuple(start for start, _ in used),
    )


def _stamp(start: int) -> str:
    return datetime.fromtimestamp(start, UTC).strftime("%d/%m/%y %H:%M:%S")


def _reason(definition: Definition, state: State, used: Sequence[tuple[int, float]]) -> str:
    if not used:
        fills = {"breaching": "[Breaching]", "notBreaching": "[NonBreaching]"}
        treated = fills.get(definition.missing)
        text = f"no datapoints were received for {definition.periods} period(s)"
        return (
            f"Threshold Crossed: {text} and they were treated as {treated}."
            if treated
            else f"Insufficient Data: {text}."
        )
    breaching = [pair for pair in used if definition.breaches(pair[1])]
    shown = breaching if state == "ALARM" and breaching else list(used)
    listed = ", ".join(f"{value} ({_stamp(start)})" for start, value in shown)
    verb = "was" if len(shown) == 1 else "were"
    denied = "" if state == "ALARM" else "not "
    words = _COMPARISONS[definition.comparison][1]
    return (
        f"Threshold Crossed: {len(shown)} out of the last {len(used)} datapoints [{listed}] {verb} {denied}{words} "
        f"the threshold ({definition.threshold}) (minimum {definition.needed} datapoint(s) to ALARM)."
    )


def reason_data(definition: Definition, verdict: Verdict, now_seconds: float) -> str:
    """Return the JSON that CloudWatch keeps beside a reason."""

    def moment(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")

    fields: dict[str, Any] = {
        "version": "1.0",
        "queryDate": moment(now_seconds),
        "period": definition.period_seconds,
        "recentDatapoints": list(verdict.points),
        "threshold": definition.threshold,
        "evaluatedDatapoints": [
            {"timestamp": moment(start), "value": value}
            for start, value in zip(reversed(verdict.starts), reversed(verdict.points), strict=True)
        ],
    }
    if len(definition.queries) == 1:
        fields["statistic"] = definition.queries[0].statistic
    if verdict.starts:
        fields["startDate"] = moment(verdict.starts[0])
    return json.dumps(fields)
