"""What a run of a step, a page or a drill can end as, and the exit code of each."""

from __future__ import annotations

from enum import StrEnum

from vectorfleet.exit_codes import ExitCode


class Verdict(StrEnum):
    """VOID means that nothing was measured (fault not proven, observer down); it is never a PASS."""

    PASS = "PASS"
    FAIL = "FAIL"
    VOID = "VOID"
    ABORTED = "ABORTED"
    NOT_RUN = "NOT-RUN"

    @property
    def exit_code(self) -> int:
        """The exit code of the same name; UNDECIDED is left to the load gate."""
        return ExitCode[self.name]
