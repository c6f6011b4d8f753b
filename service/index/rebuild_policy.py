"""The policy that decides when a shard's next generation is due."""

from __future__ import annotations

QUIET_SECONDS = 3.0
QUIET_DELTA_ROWS = 500
LARGE_DELTA_ROWS = 10_000
LARGE_DELTA_SHARE = 0.25
LONG_LOG_ENTRIES = 1_000
LONG_LOG_SHARE = 0.0025


def large_delta_rows(base_rows: int) -> int:
    """Return the rows written since a base of `base_rows` at which the next one is due, even while writes go on."""
    return max(LARGE_DELTA_ROWS, int(base_rows * LARGE_DELTA_SHARE))


def long_log_entries(base_rows: int) -> int:
    """Return the log entries since a base of `base_rows` at which the next one is due, however few rows they hold."""
    return max(LONG_LOG_ENTRIES, int(base_rows * LONG_LOG_SHARE))


def is_due(*, changed_rows: int, base_rows: int, quiet_seconds: float, entries: int = 0) -> bool:
    """Return whether a new generation is worth building.

    It is when much has changed, when a fair amount has changed and writes have stopped, or when replaying `entries`
    would take long. `changed_rows` counts the delta's rows and the base's dead ones: both make searches slower.
    """
    is_quiet = changed_rows >= QUIET_DELTA_ROWS and quiet_seconds >= QUIET_SECONDS
    return is_quiet or changed_rows >= large_delta_rows(base_rows) or entries >= long_log_entries(base_rows)
