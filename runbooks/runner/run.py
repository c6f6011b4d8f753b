"""The run of a page from its first step to its end: automatic (drill) or with an operator (walk)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from runbooks.pages.lint import following
from runbooks.pages.page import Page, Step
from runbooks.runner.attempt import Attempt, attempt
from runbooks.runner.journal import Journal, Progress, end_left_over_child, read_progress
from runbooks.runner.shell import Shell
from vectorfleet.verdicts import Verdict

Answer = Literal["run", "done", "failed", "abort"]
Ask = Callable[[Step], Answer]
Say = Callable[[str], None]
MAX_VISITS = 100
LINES_SHOWN = 12


class AbortedError(Exception):
    """The operator ended the run."""


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
    """The result of a run. `undo` lists the commands that would undo it, newest first; none has run."""

    page: str
    verdict: Verdict
    sentence: str
    visits: tuple[Visit, ...]
    undo: tuple[str, ...]
    not_run: tuple[int, ...]
    resumed: bool = False


@dataclass
class Runner:
    """A runner of one page. With `ask` the operator decides at each step; without it every step runs."""

    page: Page
    shell: Shell
    journal_path: Path
    say: Say = lambda _sentence: None
    ask: Ask | None = None
    _visits: list[Visit] = field(default_factory=list)
    _undo: list[str] = field(default_factory=list)
    _jumps: Counter[int] = field(default_factory=Counter)

    def run(self, resume: bool = False) -> Run:
        """Run to the end. With `resume`, continue where the journal's runner died.

        Raises CannotResumeError. If the operator ends the run, the journal says ABORTED. Ctrl-C is raised again for
        the caller.
        """
        start = self._recover(read_progress(self.journal_path, self.page)) if resume else 1
        self._journal = Journal(self.journal_path)
        try:
            if resume:
                self._journal.resume()
            else:
                self._journal.start(self.page, "walk" if self.ask else "drill")
            try:
                verdict, sentence = self._walk(start)
            except AbortedError:
                verdict, sentence = Verdict.ABORTED, "the operator ended the run"
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

    def _walk(self, number: int | None) -> tuple[Verdict, str]:
        for _ in range(MAX_VISITS):
            if number is None:
                return Verdict.PASS, f"{self.page.identity} ran to its end"
            step = self.page.step(number)
            if step.fence is None:
                self.say(f"{step.number}. {step.title}: {step.person}")
                return Verdict.FAIL, f"step {step.number} needs a person: {step.title}"
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
        return Attempt(done, "" if done else "the operator said that it failed", "", 0.0), "person"

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
        """Return the next step, and whether a limited jump led there."""
        jump = step.then if passed else step.if_not
        if jump is None:
            return following(self.page, step), False
        if jump.at_most is None:
            return jump.step, False
        if self._jumps[step.number] >= jump.at_most:
            return jump.afterwards, False
        self._jumps[step.number] += 1
        return jump.step, True


def _visit(record: dict[str, Any]) -> Visit:
    values = {key: value for key, value in record.items() if key not in ("record", "at")}
    return Visit(**{**values, "verdict": Verdict(values["verdict"])})
