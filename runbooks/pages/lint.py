"""Checks of a page beyond its grammar: commands that exist, jumps that lead somewhere, budgets that fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runbooks.durations import spoken
from runbooks.pages import commands
from runbooks.pages.blocks import PageError
from runbooks.pages.page import Jump, Page, Step, read_page


@dataclass(frozen=True)
class Problem:
    """A mistake on a page, with its line."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def check_file(path: Path) -> list[Problem]:
    """Return the problems of a page, in the order of its lines; a mistake of grammar is reported alone."""
    try:
        page = read_page(path)
    except PageError as error:
        return [Problem(path, error.line, error.mistake)]
    return check(page)


def check(page: Page) -> list[Problem]:
    """Return the problems of a parsed page, in the order of its lines."""
    found = [*_file_name(page), *_names(page), *_shape(page), *_commands(page)]
    dead = list(_targets(page))
    found += dead
    if not dead:
        found += [*_cycles(page), *_unreached(page), *_budgets(page)]
    return [Problem(page.path, line, message) for line, message in sorted(found)]


Mistakes = Iterator[tuple[int, str]]


def _file_name(page: Page) -> Mistakes:
    if not page.path.name.startswith(f"{page.identity}-"):
        yield 1, f"the page is `{page.identity}`, so name its file `{page.identity}-….md`"
    if not page.alarms:
        yield 1, "`Use when` names no alarm; write the ending of its name as `…-error-rate`"


def _names(page: Page) -> Mistakes:
    seen: set[str] = set()
    for step in page.steps:
        if step.fence and step.fence.name:
            if step.fence.name in seen:
                yield step.line, f"there is a second command block named `{step.fence.name}`; rename one"
            seen.add(step.fence.name)


def _shape(page: Page) -> Mistakes:
    for step in page.steps:
        yield from _command_step(step) if step.fence else _person_step(step)
    last = page.steps[-1]
    if last.fence and last.then is None:
        yield last.line, f"step {last.number} is the last; add `- Then: done` or `- Then: go to N`"


def _command_step(step: Step) -> Mistakes:
    for key, value in (("Expect", step.expects), ("Budget", step.budget_seconds), ("If not", step.if_not)):
        if not value:
            yield step.line, f"step {step.number} has commands but no `- {key}: …`; add it"
    if step.person:
        yield step.line, f"step {step.number} has commands and a `Person`; give the `Person` a step of its own"
    for expectation in step.expects:
        bound = expectation.within_seconds
        if bound not in (None, float("inf")) and step.budget_seconds and bound > step.budget_seconds:
            yield expectation.line, f"`within {spoken(bound)}` is longer than the step's budget; shorten it"


def _person_step(step: Step) -> Mistakes:
    if step.person is None:
        yield step.line, f"step {step.number} has neither commands nor a `- Person: …`; add one"
    if step.expects or step.budget_seconds or step.undo or step.if_not or step.then:
        yield step.line, f"step {step.number} is for a person; only `Why` and `Person` are allowed in it"


def _commands(page: Page) -> Mistakes:
    for step in page.steps:
        if step.fence:
            for offset, message in commands.problems(step.fence.script):
                yield step.fence.line + offset, message
        for line, command in _bullet_commands(step):
            for _, message in commands.problems(command):
                yield line, message


def _bullet_commands(step: Step) -> Iterator[tuple[int, str]]:
    for expectation in step.expects:
        if expectation.command:
            yield expectation.line, expectation.command
    if step.undo:
        yield step.line, step.undo


def _targets(page: Page) -> Mistakes:
    numbers = {step.number for step in page.steps}
    for step in page.steps:
        for jump in (step.if_not, step.then):
            for target in _jump_targets(jump):
                if target not in numbers:
                    yield jump.line if jump else step.line, f"there is no step {target}; name a step of this page"


def _jump_targets(jump: Jump | None) -> list[int]:
    return [number for number in (jump.step, jump.afterwards) if number is not None] if jump else []


def following(page: Page, step: Step) -> int | None:
    """Return the number of the step after a success, or None when the work is done."""
    if step.then is not None:
        return step.then.step
    return step.number + 1 if step.number < len(page.steps) else None


def _edges(page: Page, step: Step, bounded: bool) -> list[int]:
    """Return the steps that may come next; without `bounded`, only by jumps without a limit."""
    if step.fence is None:
        return []
    edges = [following(page, step)] if step.then is None else []
    for jump in (step.then, step.if_not):
        if jump is not None:
            edges += [jump.step if bounded or jump.at_most is None else None, jump.afterwards]
    return [number for number in edges if number is not None]


def _cycles(page: Page) -> Mistakes:
    for step in page.steps:
        if step.number in _reach(page, _edges(page, step, bounded=False), bounded=False):
            yield step.line, f"step {step.number} can loop for ever; limit a jump with `at most M times`"


def _reach(page: Page, starts: list[int], bounded: bool) -> set[int]:
    reached: set[int] = set()
    waiting = list(starts)
    while waiting:
        number = waiting.pop()
        if number not in reached:
            reached.add(number)
            waiting += _edges(page, page.step(number), bounded)
    return reached


def _unreached(page: Page) -> Mistakes:
    reached = _reach(page, [1], bounded=True)
    for step in page.steps:
        if step.number not in reached:
            yield step.line, f"no jump leads to step {step.number}; add one or delete the step"


def main_path(page: Page) -> list[Step]:
    """Return the steps of a run in which every step passes."""
    path: list[Step] = []
    number: int | None = 1
    while number is not None and len(path) < len(page.steps):
        path.append(page.step(number))
        number = following(page, path[-1])
    return path


def _budgets(page: Page) -> Mistakes:
    total_seconds = sum(step.budget_seconds or 0 for step in main_path(page))
    if total_seconds > page.rto_seconds:
        sums = f"{spoken(total_seconds)}, longer than the RTO of {spoken(page.rto_seconds)}"
        yield page.steps[0].line, f"the main path may take {sums}; shorten the budgets"
