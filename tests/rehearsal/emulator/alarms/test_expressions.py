"""Metric math over time series."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.emulator.alarms.expressions import ExpressionError, Series, evaluate

STARTS = [0, 10, 20]
SERIES: dict[str, Series] = {"e": {0: 1, 10: 2}, "r": {0: 10, 10: 0, 20: 50}, "b": {0: 1, 10: 0, 20: 0}, "none": {}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("100 * e / r", {0: 10.0, 20: 0.0}),
        ("100 * FILL(e, 0) / r", {0: 10.0, 20: 0.0}),
        ("IF(r > 0, 100 * FILL(e, 0) / r, 0)", {0: 10.0, 10: 0.0, 20: 0.0}),
        ("IF(r >= 10 AND e < 2, 1, 0)", {0: 1.0, 10: 0.0, 20: 0.0}),
        ("IF(r == 0 || r == 50, 1, 0)", {0: 0.0, 10: 1.0, 20: 1.0}),
        ("FILL(e, REPEAT)", {0: 1, 10: 2, 20: 2}),
        ("-e + 3", {0: 2.0, 10: 1.0}),
        ("2 * 3", {0: 6.0, 10: 6.0, 20: 6.0}),
        ("e", {0: 1, 10: 2}),
        ("IF(r, e, 5)", {0: 1.0, 10: 5.0, 20: 0.0}),
        ("IF(r < 20, 7, e)", {0: 7.0, 10: 7.0}),
        ("FILL(none, 5)", {}),
        ("FILL(none, 5) + e", {0: 6.0, 10: 7.0}),
        ("100 * (FILL(e, 0) + FILL(none, 0)) / (FILL(r, 0) + FILL(none, 0))", {0: 10.0, 20: 0.0}),
        # Requests that wait for lagging shards are no errors. A quiet period divides by nothing, but counts as 0.
        ("100 * (FILL(e, 0) + FILL(none, 0) - FILL(b, 0)) / (FILL(r, 0) + FILL(none, 0))", {0: 0.0, 20: 0.0}),
        ("100 * (FILL(none, 0) - FILL(b, 0)) / FILL(none, 0)", {}),
        ("100 * (FILL(none, 0) + FILL(e, 0)) / (FILL(none, 0) + FILL(e, 0))", {0: 100.0, 10: 100.0}),
    ],
)
def test_expressions(expression: str, expected: Series) -> None:
    assert evaluate(expression, SERIES, STARTS) == expected


@pytest.mark.parametrize(
    "expression",
    ["__import__('os')", "e.real", "[e]", "lambda: 1", "e ** 2", "SEARCH('x', 'y')", "'a'", "x + 1", "e +", "IF(e)"],
)
def test_unsupported_expressions_are_refused(expression: str) -> None:
    with pytest.raises(ExpressionError, match="metric math"):
        evaluate(expression, SERIES, STARTS)


series = st.dictionaries(st.sampled_from(STARTS), st.floats(-1e6, 1e6), max_size=3)


@given(series, series)
def test_a_missing_operand_counts_as_0(left: Series, right: Series) -> None:
    known = {"a": left, "b": right}
    expected = {start: left.get(start, 0) + right.get(start, 0) for start in STARTS if start in {*left, *right}}
    assert evaluate("a + b", known, STARTS) == expected
    assert set(evaluate("FILL(a, 0) + FILL(b, 0)", known, STARTS)) == (set(STARTS) if left or right else set())


def test_the_tables_of_the_user_guide() -> None:
    """Compare tables for comparisons and IF(), with `-` for a gap."""
    starts = [0, 1, 2, 3]
    pair = {"metric1": {0: 30.0, 1: 20.0, 2: 0.0, 3: 0.0}, "metric2": {0: 20.0, 2: 20.0}}
    for expression, expected in {
        "metric1 < metric2": [0, 0, 1, 0],
        "metric1 >= 30": [1, 0, 0, 0],
        "metric1 > 15 AND metric2 > 15": [1, 0, 0, 0],
    }.items():
        assert evaluate(expression, pair, starts) == dict(enumerate(expected))
    three = {"metric1": {0: 1.0, 1: 1.0, 2: 0.0, 3: 0.0}, "metric2": {0: 30.0, 2: 0.0, 3: 0.0, 4: 30.0}}
    three["metric3"] = {0: 0.0, 1: 0.0, 2: 20.0, 4: 20.0}
    for expression, points in {
        "IF(metric1, metric2, metric3)": {0: 30, 1: 0, 2: 20},
        "IF(metric1, 5, metric3)": {0: 5, 1: 5, 2: 20},
        "IF(metric1, metric2, 5)": {0: 30, 1: 0, 2: 5, 3: 5},
    }.items():
        assert evaluate(expression, three, [*starts, 4]) == points
