"""Verdicts of load gates, steps, runbooks and drills."""

from __future__ import annotations

from enum import StrEnum

from vectorfleet.exit_codes import ExitCode


class Verdict(StrEnum):
    """A verdict. VOID means that the measurement is in doubt, so it supports neither PASS nor FAIL."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    VOID = "VOID"
    ABORTED = "ABORTED"
    NOT_RUN = "NOT-RUN"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the same name."""
        return ExitCode[self.name]
