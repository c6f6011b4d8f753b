"""What a run of a step, a page or a drill can end as, and the exit code of each."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """VOID means that nothing was measured (fault not proven, observer down); it is never a PASS."""

    PASS = "PASS"
    FAIL = "FAIL"
    VOID = "VOID"
    ABORTED = "ABORTED"
    NOT_RUN = "NOT-RUN"

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES[self]


# 2 stays free: it is UNDECIDED, which only the load gate can say.
_EXIT_CODES = {
    Verdict.PASS: 0,
    Verdict.FAIL: 1,
    Verdict.VOID: 3,
    Verdict.ABORTED: 4,
    Verdict.NOT_RUN: 5,
}
USAGE_EXIT_CODE = 64
