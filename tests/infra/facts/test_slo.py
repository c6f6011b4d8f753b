"""The table of targets and alert thresholds."""

from __future__ import annotations

from infra.facts import slo


def test_the_table_has_the_agreed_values() -> None:
    rows = {row.key: (row.direction, row.target, row.alert) for row in slo.TABLE}
    assert rows == {
        "retrieval_p95_ms": ("below", 200, 500),
        "end_to_end_p95_ms": ("below", 3000, 5000),
        "relevance": ("above", 0.85, 0.75),
        "faithfulness": ("above", 0.90, 0.80),
        "error_rate_percent": ("below", 1, 5),
        "tokens_per_query": ("below", 5000, 10000),
    }


def test_the_alert_lies_on_the_bad_side_of_the_target() -> None:
    below = {row.key for row in slo.TABLE if row.target < row.alert}
    assert below == {row.key for row in slo.TABLE if row.direction == "below"}
