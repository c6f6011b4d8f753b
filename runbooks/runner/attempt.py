"""An attempt at a step: its commands and expectations, within its budget."""

from __future__ import annotations

import time
from dataclasses import dataclass

from runbooks.durations import spoken
from runbooks.pages.expectation import Expectation
from runbooks.pages.page import Step
from runbooks.runner.shell import CommandResult, Shell
from vectorfleet.waiting import until

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Attempt:
    """The result of a step. `reason` is empty if it passed."""

    passed: bool
    reason: str
    output: str
    seconds: float


def attempt(step: Step, shell: Shell) -> Attempt:
    """Run a step's commands, then check each expectation in turn; the budget covers both."""
    assert step.fence is not None
    assert step.budget_seconds is not None
    began = time.monotonic()
    deadline = began + step.budget_seconds
    ran = shell.run(step.fence.script, deadline)
    reason = _over_budget(step) if ran.exit_code is None else _first_unmet(step, ran, shell, deadline)
    return Attempt(not reason, reason, ran.output, time.monotonic() - began)


def _over_budget(step: Step) -> str:
    return f"the budget of {spoken(step.budget_seconds or 0)} ran out, so the commands were killed"


def _first_unmet(step: Step, ran: CommandResult, shell: Shell, deadline: float) -> str:
    for expectation in step.expects:
        reason = _unmet(expectation, ran) if expectation.command is None else _look(expectation, shell, deadline)
        if reason:
            return reason
    return ""


def _unmet(expectation: Expectation, ran: CommandResult) -> str:
    """Return the difference between a run and the expectation, empty if there is none."""
    if ran.exit_code is None:
        return f"`{expectation.command}` did not end in time"
    if expectation.exit_code is not None:
        if ran.exit_code == expectation.exit_code:
            return ""
        return f"expected {expectation.source}, but the exit code was {ran.exit_code}"
    lines = [line.strip() for line in ran.output.splitlines()]
    if expectation.text in lines and ran.exit_code == 0:
        return ""
    printed = lines[-1] if lines else ""
    return f"expected {expectation.source}, but it printed `{printed}` with exit code {ran.exit_code}"


def _look(expectation: Expectation, shell: Shell, deadline: float) -> str:
    """Check once, or repeatedly until the expectation's own time or the deadline is over."""
    command, bound = expectation.command, expectation.within_seconds
    assert command is not None
    end = deadline if bound is None else min(deadline, time.monotonic() + bound)
    reason = ""

    def met() -> bool:
        nonlocal reason
        ran = shell.run(command, end)
        # A last check that the deadline cut short says less than the one before it.
        if not reason or ran.exit_code is not None:
            reason = _unmet(expectation, ran)
        return not reason

    until(met, 0 if bound is None else end - time.monotonic(), POLL_SECONDS)
    return reason
