"""Runs a page from its first step to its end: by itself (drill) or with a person (walk)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from runbooks.runner.attempt import Attempt, attempt
from runbooks.runner.journal import Journal, Progress, end_left_over_child, read_progress
from runbooks.runner.lint import following
from runbooks.runner.page import Page, Step
from runbooks.runner.shell import Shell
from runbooks.verdict import Verdict

Answer = Literal["run", "done", "failed", "abort"]
Ask = Callable[[Step], Answer]
Say = Callable[[str], None]
MAX_VISITS = 100
LINES_SHOWN = 12


class AbortedError(Exception):
    """A person ended the run."""


@dataclass(frozen=True)
class Visit:
    """One visit of a step. Times are monotonic seconds."""

    step: int
    name: str | None
    title: str
    verdict: Verdict
    reason: str
    began: float
    ended: float
    by: Literal["runner", "person"]
    next: int | None
    limited: bool
    output: str = ""


@dataclass(frozen=True)
class Run:
    """How a run ended. `undo` lists what would take it back, newest first; nobody ran it."""

    page: str
    verdict: Verdict
    sentence: str
    visits: tuple[Visit, ...]
    undo: tuple[str, ...]
    not_run: tuple[int, ...]
    resumed: bool = False


@dataclass
class Runner:
    """Runs one page. With `ask` a person decides at each step, without it the runner does all."""

    page: Page
    shell: Shell
    journal_path: Path
    say: Say = lambda _sentence: None
    ask: Ask | None = None
    _visits: list[Visit] = field(default_factory=list)
    _undo: list[str] = field(default_factory=list)
    _jumps: dict[int, int] = field(default_factory=dict)

    def run(self, resume: bool = False) -> Run:
        """Run to the end. With `resume`, go on where the journal's runner died.

        Raises CannotResumeError. A run that a person ends is ABORTED and recorded as such; Ctrl-C also goes on
        to the caller.
        """
        start = self._recover(read_progress(self.journal_path, self.page)) if resume else 1
        self._journal = Journal(self.journal_path)
        try:
            if resume:
                self._journal.resume()
            else:
                self._journal.start(self.page, "walk" if self.ask else "drill")
            verdict, sentence = self._guarded(start)
            self._journal.end(verdict, sentence)
        except KeyboardInterrupt:
            self._journal.end(Verdict.ABORTED, "interrupted")
            raise
        finally:
            self._journal.close()
        visited = {visit.step for visit in self._visits}
        return Run(
            page=self.page.identity,
            verdict=verdict,
            sentence=sentence,
            visits=tuple(self._visits),
            undo=tuple(reversed(self._undo)),
            not_run=tuple(step.number for step in self.page.steps if step.number not in visited),
            resumed=resume,
        )

    def _recover(self, progress: Progress) -> int | None:
        end_left_over_child(self.journal_path)
        self._visits = [_visit(record) for record in progress.outcomes]
        self._undo = list(progress.undo)
        self._jumps = progress.jumps
        if progress.interrupted:
            self.say(f"The last runner died inside step {progress.step}; the step runs again.")
        return progress.step

    def _guarded(self, start: int | None) -> tuple[Verdict, str]:
        try:
            return self._walk(start)
        except AbortedError:
            return Verdict.ABORTED, "a person ended the run"

    def _walk(self, number: int | None) -> tuple[Verdict, str]:
        for _ in range(MAX_VISITS):
            if number is None:
                return Verdict.PASS, f"{self.page.identity} ran to its end"
            step = self.page.step(number)
            if step.fence is None:
                self.say(f"{step.number}. {step.title}: {step.person}")
                return Verdict.FAIL, f"step {step.number} asks for a person: {step.title}"
            number = self._visit(step)
        return Verdict.FAIL, f"stopped after {MAX_VISITS} steps"

    def _visit(self, step: Step) -> int | None:
        self.say(f"{step.number}. {step.title}")
        self._journal.intent(step.number, step.title)
        if step.undo:
            self._undo.append(step.undo)
            self._journal.undo(step.number, step.undo)
        began = time.monotonic()
        done, by = self._do(step)
        visit = self._branch(step, done, by, began)
        self._journal.outcome({**asdict(visit), "verdict": visit.verdict.value})
        self._visits.append(visit)
        self.say(f"   {visit.verdict.value} after {visit.ended - began:.1f} s {visit.reason}".rstrip())
        if visit.verdict is Verdict.FAIL or self.ask:
            for line in visit.output.splitlines()[-LINES_SHOWN:]:
                self.say(f"     {line}")
        return visit.next

    def _do(self, step: Step) -> tuple[Attempt, Literal["runner", "person"]]:
        answer = self.ask(step) if self.ask else "run"
        if answer == "abort":
            raise AbortedError
        if answer == "run":
            shell = replace(self.shell, started=self._journal.child)
            return attempt(step, shell), "runner"
        done = answer == "done"
        return Attempt(done, "" if done else "the person said that it failed", "", 0.0), "person"

    def _branch(self, step: Step, done: Attempt, by: Literal["runner", "person"], began: float) -> Visit:
        target, limited = self._target(step, done.passed)
        return Visit(
            step=step.number,
            name=step.fence.name if step.fence else None,
            title=step.title,
            verdict=Verdict.PASS if done.passed else Verdict.FAIL,
            reason=done.reason,
            began=began,
            ended=time.monotonic(),
            by=by,
            next=target,
            limited=limited,
            output=done.output[-2000:],
        )

    def _target(self, step: Step, passed: bool) -> tuple[int | None, bool]:
        """The next step and whether a limited way led there."""
        jump = step.then if passed else step.if_not
        if jump is None:
            return following(self.page, step), False
        if jump.at_most is None:
            return jump.step, False
        if self._jumps.get(step.number, 0) >= jump.at_most:
            return jump.afterwards, False
        self._jumps[step.number] = self._jumps.get(step.number, 0) + 1
        return jump.step, True


def _visit(record: dict[str, Any]) -> Visit:
    values = {key: value for key, value in record.items() if key not in ("record", "at")}
    return Visit(**{**values, "verdict": Verdict(values["verdict"])})
