"""One step's commands and expectations, inside its budget."""

from __future__ import annotations

import time
from dataclasses import dataclass

from runbooks.durations import spoken
from runbooks.runner.expectation import Expectation
from runbooks.runner.page import Step
from runbooks.runner.shell import Ran, Shell

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Attempt:
    """What came of a step. `reason` is empty when it passed."""

    passed: bool
    reason: str
    output: str
    seconds: float


def attempt(step: Step, shell: Shell) -> Attempt:
    """Run a step's commands, then look at each expectation in turn; the budget covers both."""
    assert step.fence is not None
    assert step.budget_seconds is not None
    began = time.monotonic()
    deadline = began + step.budget_seconds
    ran = shell.run(step.fence.script, deadline)
    reason = _over_budget(step) if ran.exit_code is None else _first_unmet(step, ran, shell, deadline)
    return Attempt(not reason, reason, ran.output, time.monotonic() - began)


def _over_budget(step: Step) -> str:
    return f"the budget of {spoken(step.budget_seconds or 0)} ran out, the commands were killed"


def _first_unmet(step: Step, ran: Ran, shell: Shell, deadline: float) -> str:
    for expectation in step.expects:
        reason = _unmet(expectation, ran) if expectation.command is None else _look(expectation, shell, deadline)
        if reason:
            return reason
    return ""


def _unmet(expectation: Expectation, ran: Ran) -> str:
    """Why a finished run is not what was expected, empty when it is."""
    if ran.exit_code is None:
        return f"`{expectation.command}` did not end in time"
    if expectation.exit_code is not None:
        if ran.exit_code == expectation.exit_code:
            return ""
        return f"expected {expectation.source}, the exit code was {ran.exit_code}"
    lines = [line.strip() for line in ran.output.splitlines()]
    if expectation.text in lines and ran.exit_code == 0:
        return ""
    printed = lines[-1] if lines else ""
    return f"expected {expectation.source}, it printed `{printed}` with exit code {ran.exit_code}"


def _look(expectation: Expectation, shell: Shell, deadline: float) -> str:
    """Look once, or again and again until the expectation's own bound or the deadline."""
    assert expectation.command is not None
    bound = expectation.within_seconds
    until = deadline if bound is None else min(deadline, time.monotonic() + bound)
    reason = ""
    while True:
        ran = shell.run(expectation.command, until)
        # A last look that time cut short tells less than the one before it.
        reason = reason if reason and ran.exit_code is None else _unmet(expectation, ran)
        pause_seconds = min(POLL_SECONDS, until - time.monotonic())
        if not reason or bound is None or pause_seconds <= 0:
            return reason
        time.sleep(pause_seconds)
