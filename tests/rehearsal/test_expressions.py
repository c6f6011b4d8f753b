"""Metric math over time series, as alarms use it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.alarms.expressions import ExpressionError, Series, evaluate

STARTS = [0, 10, 20]
SERIES: dict[str, Series] = {"e": {0: 1, 10: 2}, "r": {0: 10, 10: 0, 20: 50}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("100 * e / r", {0: 10.0}),
        ("100 * FILL(e, 0) / r", {0: 10.0, 20: 0.0}),
        ("IF(r > 0, 100 * FILL(e, 0) / r, 0)", {0: 10.0, 10: 0.0, 20: 0.0}),
        ("IF(r >= 10 AND e < 2, 1, 0)", {0: 1.0, 10: 0.0}),
        ("IF(r == 0 || r == 50, 1, 0)", {0: 0.0, 10: 1.0, 20: 1.0}),
        ("FILL(e, REPEAT)", {0: 1, 10: 2, 20: 2}),
        ("-e + 3", {0: 2.0, 10: 1.0}),
        ("2 * 3", {0: 6.0, 10: 6.0, 20: 6.0}),
        ("e", {0: 1, 10: 2}),
    ],
)
def test_expressions(expression: str, expected: Series) -> None:
    assert evaluate(expression, SERIES, STARTS) == expected


@pytest.mark.parametrize(
    "expression",
    ["__import__('os')", "e.real", "[e]", "lambda: 1", "e ** 2", "SEARCH('x', 'y')", "'a'", "x + 1", "e +", "IF(e)"],
)
def test_everything_else_is_refused_in_words(expression: str) -> None:
    with pytest.raises(ExpressionError, match="metric math"):
        evaluate(expression, SERIES, STARTS)


series = st.dictionaries(st.sampled_from(STARTS), st.floats(-1e6, 1e6), max_size=3)


@given(series, series)
def test_a_point_exists_only_where_both_operands_have_one(left: Series, right: Series) -> None:
    assert set(evaluate("a + b", {"a": left, "b": right}, STARTS)) == set(left) & set(right)
    assert set(evaluate("FILL(a, 0) + FILL(b, 0)", {"a": left, "b": right}, STARTS)) == set(STARTS)
