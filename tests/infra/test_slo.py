"""The one table of targets and alerts."""

from __future__ import annotations

import pytest

from infra import slo


def test_the_table_is_the_designs() -> None:
    rows = {row.key: (row.direction, row.target, row.alert) for row in slo.TABLE}
    assert rows == {
        "retrieval_p95_ms": ("below", 200, 500),
        "end_to_end_p95_ms": ("below", 3000, 5000),
        "relevance": ("above", 0.85, 0.75),
        "faithfulness": ("above", 0.90, 0.80),
        "error_rate_percent": ("below", 1, 5),
        "tokens_per_query": ("below", 5000, 10000),
    }


@pytest.mark.parametrize("row", slo.TABLE, ids=lambda row: row.key)
def test_the_alert_lies_on_the_bad_side_of_the_target(row: slo.Objective) -> None:
    assert not row.meets_target(row.alert)
    assert not row.meets_target(row.target)
    assert not row.alerts(row.target)
    assert not row.alerts(row.alert)


def test_an_unknown_objective_names_those_there_are() -> None:
    with pytest.raises(KeyError, match="retrieval_p95_ms"):
        slo.objective("p99")
