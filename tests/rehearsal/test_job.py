"""The exit code of a rehearsal."""

from __future__ import annotations

import pytest

from rehearsal.job import worst


@pytest.mark.parametrize(
    ("gate", "drill", "code"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (2, 0, 2), (3, 0, 3), (2, 1, 1), (1, 3, 1), (2, 3, 3)],
)
def test_a_failure_outranks_a_doubt_and_a_doubt_outranks_a_pass(gate: int, drill: int, code: int) -> None:
    assert worst(gate, drill) == code
