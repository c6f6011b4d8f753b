"""The exit codes of every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The first six are verdicts too; a mistake in the call is none of them, so click's own 2 is never used."""

    PASS = 0
    FAIL = 1
    UNDECIDED = 2
    VOID = 3
    ABORTED = 4
    NOT_RUN = 5
    USAGE = 64
    INTERRUPTED = 130
