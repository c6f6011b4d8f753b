"""What the grammar cannot see: commands that exist, ways that lead somewhere, budgets that fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runbooks.durations import spoken
from runbooks.runner import commands
from runbooks.runner.blocks import PageError
from runbooks.runner.page import Jump, Page, Step, read_page


@dataclass(frozen=True)
class Problem:
    """One thing to mend on a page."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def check_file(path: Path) -> list[Problem]:
    """Every problem of a page, in the order of its lines; a mistake of grammar is reported alone."""
    try:
        page = read_page(path)
    except PageError as error:
        return [Problem(path, error.line, error.message)]
    return check(page)


def check(page: Page) -> list[Problem]:
    """Every problem of a parsed page, in the order of its lines."""
    found = [*_file_name(page), *_names(page), *_shape(page), *_commands(page)]
    dead = list(_targets(page))
    found += dead
    if not dead:
        found += [*_cycles(page), *_unreached(page), *_budgets(page)]
    return [Problem(page.path, line, message) for line, message in sorted(found)]


Found = Iterator[tuple[int, str]]


def _file_name(page: Page) -> Found:
    if not page.path.name.startswith(f"{page.identity}-"):
        yield 1, f"the page is `{page.identity}`, so its file is named `{page.identity}-….md`"
    if not page.alarms:
        yield 1, "`Use when` names no alarm: write the ending of its name as `…-error-rate`"


def _names(page: Page) -> Found:
    seen: set[str] = set()
    for step in page.steps:
        if step.fence and step.fence.name:
            if step.fence.name in seen:
                yield step.line, f"a second command block named `{step.fence.name}`"
            seen.add(step.fence.name)


def _shape(page: Page) -> Found:
    for step in page.steps:
        yield from _command_step(step) if step.fence else _person_step(step)
    last = page.steps[-1]
    if last.fence and last.then is None:
        yield last.line, f"step {last.number} is the last and says no `- Then: done` or `- Then: go to N`"


def _command_step(step: Step) -> Found:
    for key, value in (("Expect", step.expects), ("Budget", step.budget_seconds), ("If not", step.if_not)):
        if not value:
            yield step.line, f"step {step.number} has commands and no `- {key}: …`"
    if step.person:
        yield step.line, f"step {step.number} has commands and a `Person`; give the person a step of its own"
    for expectation in step.expects:
        bound = expectation.within_seconds
        if bound not in (None, float("inf")) and step.budget_seconds and bound > step.budget_seconds:
            yield expectation.line, f"`within {spoken(bound)}` is longer than the step's budget"


def _person_step(step: Step) -> Found:
    if step.person is None:
        yield step.line, f"step {step.number} has neither commands nor a `- Person: …`"
    if step.expects or step.budget_seconds or step.undo or step.if_not or step.then:
        yield step.line, f"step {step.number} is for a person: only `Why` and `Person` may stand in it"


def _commands(page: Page) -> Found:
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


def _targets(page: Page) -> Found:
    numbers = {step.number for step in page.steps}
    for step in page.steps:
        for jump in (step.if_not, step.then):
            for target in _jump_targets(jump):
                if target not in numbers:
                    yield jump.line if jump else step.line, f"there is no step {target}"


def _jump_targets(jump: Jump | None) -> list[int]:
    return [number for number in (jump.step, jump.afterwards) if number is not None] if jump else []


def following(page: Page, step: Step) -> int | None:
    """The step after a success, None when the work is done."""
    if step.then is not None:
        return step.then.step
    return step.number + 1 if step.number < len(page.steps) else None


def _edges(page: Page, step: Step, bounded: bool) -> list[int]:
    """Steps that may come next; without `bounded`, only the ways that nothing limits."""
    if step.fence is None:
        return []
    ways = []
    if step.then is None and (after := following(page, step)):
        ways.append(after)
    for jump in (step.then, step.if_not):
        if jump is None:
            continue
        limited = jump.at_most is not None
        ways += [jump.step] if jump.step and (bounded or not limited) else []
        ways += [jump.afterwards] if jump.afterwards else []
    return ways


def _cycles(page: Page) -> Found:
    for step in page.steps:
        if step.number in _reach(page, _edges(page, step, bounded=False), bounded=False):
            yield (
                step.line,
                f"step {step.number} can come back to itself for ever: limit a way with `at most M times`",
            )


def _reach(page: Page, starts: list[int], bounded: bool) -> set[int]:
    reached: set[int] = set()
    waiting = list(starts)
    while waiting:
        number = waiting.pop()
        if number not in reached:
            reached.add(number)
            waiting += _edges(page, page.step(number), bounded)
    return reached


def _unreached(page: Page) -> Found:
    reached = _reach(page, [1], bounded=True)
    for step in page.steps:
        if step.number not in reached:
            yield step.line, f"no way leads to step {step.number}"


def main_path(page: Page) -> list[Step]:
    """The steps of a run in which all goes well."""
    path: list[Step] = []
    number: int | None = 1
    while number is not None and len(path) < len(page.steps):
        path.append(page.step(number))
        number = following(page, path[-1])
    return path


def _budgets(page: Page) -> Found:
    total_seconds = sum(step.budget_seconds or 0 for step in main_path(page))
    if total_seconds > page.rto_seconds:
        sums = f"{spoken(total_seconds)}, longer than the RTO of {spoken(page.rto_seconds)}"
        yield page.steps[0].line, f"the main path may take {sums}"
