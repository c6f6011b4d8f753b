"""The summary of the times from writes to the searches that find them."""

from __future__ import annotations

import pytest

from runbooks.observe.freshness import Freshness, freshness


@pytest.mark.parametrize(
    ("seconds", "summary"),
    [
        ([float(number) for number in range(100, 0, -1)], Freshness(100, 100, 50.5, 95.0, 100.0)),
        ([0.5, None, 0.25, None], Freshness(4, 2, 0.375, 0.5, 0.5)),
        ([0.5], Freshness(1, 1, 0.5, 0.5, 0.5)),
        ([None, None], Freshness(2, 0, None, None, None)),
    ],
)
def test_a_summary_is_of_the_writes_that_were_found(seconds: list[float | None], summary: Freshness) -> None:
    assert freshness(seconds) == summary
