"""The next generation of a shard is due when enough has changed, writes have stopped, or a replay would be long."""

from __future__ import annotations

import pytest

from service.index.rebuild_policy import is_due


@pytest.mark.parametrize(
    ("changed_rows", "base_rows", "quiet_seconds", "due"),
    [
        (0, 0, 1e9, False),
        (499, 0, 1e9, False),
        (500, 0, 2.9, False),
        (500, 0, 3.0, True),
        (500, 1_000_000, 3.0, True),
        (9_999, 0, 0, False),
        (10_000, 0, 0, True),
        (10_000, 100_000, 0, False),
        (25_000, 100_000, 0, True),
    ],
)
def test_a_generation_is_due_for_a_large_delta_or_a_quiet_shard(
    changed_rows: int, base_rows: int, quiet_seconds: float, due: bool
) -> None:
    assert is_due(changed_rows=changed_rows, base_rows=base_rows, quiet_seconds=quiet_seconds) is due


@pytest.mark.parametrize(
    ("entries", "base_rows", "due"),
    [(999, 0, False), (1_000, 0, True), (1_000, 1_000_000, False), (2_500, 1_000_000, True)],
)
def test_a_generation_is_due_when_a_replay_would_be_long(entries: int, base_rows: int, due: bool) -> None:
    assert is_due(changed_rows=0, base_rows=base_rows, quiet_seconds=0, entries=entries) is due
