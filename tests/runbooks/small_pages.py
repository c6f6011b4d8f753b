"""Pages of a few steps, made for one test each, and a runner for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runbooks.pages.page import Page, parse_page
from runbooks.runner.run import Answer, Run, Runner
from runbooks.runner.shell import Shell

HEAD = """\
# RB-{number:02d} Something
- Use when: the alarm `…-x` rings.
- Customer sees: errors.
- Do not use when: never.
- Target: RTO 10m, RPO 0s
"""


def step(number: int, script: str, *bullets: str, expect: str = "exit 0", budget: str = "5s") -> str:
    """Return a step; without a script it is a person's."""
    lines = [f"## {number}. Step {number}"]
    if script:
        lines += [f"```sh\n{script}\n```", f"- Expect: {expect}", f"- Budget: {budget}"]
    return "\n".join([*lines, *(f"- {bullet}" for bullet in bullets)])


def text(*steps: str, number: int = 7) -> str:
    return "\n".join([HEAD.format(number=number), *steps]) + "\n"


def page(*steps: str) -> Page:
    return parse_page(text(*steps), Path("RB-07-x.md"))


PERSON = "Person: call."


def run(found: Page, folder: Path, ask: Callable[[object], Answer] | None = None, resume: bool = False) -> Run:
    return Runner(found, Shell(folder), folder / "journal.jsonl", ask=ask).run(resume=resume)


def trail(done: Run) -> list[tuple[int, str]]:
    return [(visit.step, visit.verdict.value) for visit in done.visits]


def ended(pid: int) -> bool:
    """Return whether a process is gone, or dead and waiting for a parent that collects it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
