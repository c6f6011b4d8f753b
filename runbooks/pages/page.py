"""The grammar of a runbook page: Markdown that an operator reads and the runner executes.

A page is a title line `# RB-NN Title`, the header bullets, then steps `## N. Title`. A step holds at most one `sh`
fence and the bullets of STEP_BULLETS. Anything else is an error with its line, so no typing mistake is passed over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbooks.durations import parse_seconds
from runbooks.pages.blocks import Block, Bullet, Fence, Heading, PageError, blocks
from runbooks.pages.expectation import Expectation, expectations
from vectorfleet.refusal import Refusal

PAGES = Path(__file__).resolve().parent.parent

HEADER_BULLETS = ("Use when", "Customer sees", "Do not use when", "Target", "Before step 1")
STEP_BULLETS = ("Why", "Expect", "Budget", "Undo", "If not", "Then", "Person")

_TITLE = re.compile(r"(RB-\d\d) (.+)")
_STEP = re.compile(r"([1-9]\d*)\. (.+)")
_TARGET = re.compile(r"RTO (\S+), RPO (\S+)")
_JUMP = re.compile(r"go to (\d+)(?:, at most (\d+) times, then go to (\d+))?")
_ALARM = re.compile(r"`…-([a-z0-9-]+)`")


@dataclass(frozen=True)
class Jump:
    """A jump to a step, or to None when the work is done. `at_most` limits a loop."""

    line: int
    step: int | None
    at_most: int | None = None
    afterwards: int | None = None


@dataclass(frozen=True)
class Step:
    """One step. A bullet that the page leaves out is None; lint checks which of them a step needs."""

    line: int
    number: int
    title: str
    fence: Fence | None
    why: str | None
    expects: tuple[Expectation, ...]
    budget_seconds: float | None
    undo: str | None
    if_not: Jump | None
    then: Jump | None
    person: str | None


@dataclass(frozen=True)
class Page:
    """A whole page. `digest` is the sha256 of its text: a journal resumes on the same page only."""

    path: Path
    identity: str
    title: str
    header: Mapping[str, str]
    rto_seconds: float
    rpo_seconds: float
    steps: tuple[Step, ...]
    text: str
    digest: str

    @property
    def alarms(self) -> tuple[str, ...]:
        """Return the endings of the alarm names that lead to this page."""
        return tuple(_ALARM.findall(self.header["Use when"]))

    def step(self, number: int) -> Step:
        return self.steps[number - 1]


def find_page(name: str) -> Path:
    """Return the page with a file name or a number (`RB-02`). Raises Refusal with the pages that exist."""
    if Path(name).is_file():
        return Path(name)
    pages = sorted(PAGES.glob("RB-*.md"))
    found = [page for page in pages if re.match(re.escape(name) + r"(-|$)", page.stem)]
    if len(found) != 1:
        raise Refusal(f"`{name}` is not a page. Choose {', '.join(page.stem for page in pages)}, or name a file.")
    return found[0]


def read_page(path: Path) -> Page:
    """Parse a page from a file. Raises PageError, or OSError if it cannot be read."""
    return parse_page(path.read_text(encoding="utf-8"), path)


def parse_page(text: str, path: Path) -> Page:
    """Parse a page. Raises PageError with the path and the line of the first mistake."""
    try:
        found = list(blocks(text))
        identity, title = _title(found)
        starts = [index for index, block in enumerate(found) if _is_step(block)]
        header = _header(found[1 : starts[0] if starts else None])
        steps = tuple(_steps(found, starts))
    except PageError as error:
        raise error.at(path) from None
    if not steps:
        raise PageError(1, "the page has no step; write at least one step, `## 1. Title`").at(path)
    rto_seconds, rpo_seconds = _target(header["Target"], path)
    return Page(
        path=path,
        identity=identity,
        title=title,
        header={key: bullet.text for key, bullet in header.items()},
        rto_seconds=rto_seconds,
        rpo_seconds=rpo_seconds,
        steps=steps,
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _is_step(block: Block) -> bool:
    return isinstance(block, Heading) and block.level == 2


def _title(found: list[Block]) -> tuple[str, str]:
    first = found[0] if found else None
    if isinstance(first, Heading) and first.level == 1 and (match := _TITLE.fullmatch(first.text)):
        return match[1], match[2]
    raise PageError(1, "the page has no title; write `# RB-NN Title` first")


def _header(found: list[Block]) -> dict[str, Bullet]:
    bullets = _bullets(found, HEADER_BULLETS, "above step 1")
    for key in HEADER_BULLETS[:4]:
        if key not in bullets:
            raise PageError(1, f"the header has no `- {key}: …`; add it")
    return bullets


def _bullets(found: Sequence[Block], allowed: tuple[str, ...], where: str) -> dict[str, Bullet]:
    bullets: dict[str, Bullet] = {}
    for block in found:
        if not isinstance(block, Bullet):
            raise PageError(block.line, f"only bullets are allowed {where}: {', '.join(allowed)}")
        if block.key not in allowed:
            raise PageError(block.line, f"`{block.key}` is not allowed {where}; the bullets are {', '.join(allowed)}")
        if block.key in bullets:
            raise PageError(block.line, f"there is a second `{block.key}` {where}; one is allowed")
        bullets[block.key] = block
    return bullets


def _target(bullet: Bullet, path: Path) -> tuple[float, float]:
    match = _TARGET.fullmatch(bullet.text)
    if match is None:
        raise PageError(bullet.line, f"`{bullet.text}` is not a valid target; write it as `RTO 20m, RPO 0s`").at(path)
    try:
        return parse_seconds(match[1]), parse_seconds(match[2])
    except ValueError as error:
        raise PageError(bullet.line, str(error)).at(path) from None


def _steps(found: list[Block], starts: list[int]) -> Iterator[Step]:
    for expected, (start, stop) in enumerate(zip(starts, [*starts[1:], None], strict=False), start=1):
        heading = found[start]
        assert isinstance(heading, Heading)
        match = _STEP.fullmatch(heading.text)
        if match is None or int(match[1]) != expected:
            raise PageError(heading.line, f"`## {heading.text}` is not allowed here; write `## {expected}. Title`")
        yield _step(heading.line, expected, match[2], found[start + 1 : stop])


def _step(line: int, number: int, title: str, found: list[Block]) -> Step:
    fences = [block for block in found if isinstance(block, Fence)]
    if len(fences) > 1:
        raise PageError(fences[1].line, f"there is a second command block in step {number}; one is allowed")
    rest = [block for block in found if not isinstance(block, Fence)]
    bullets = _bullets(rest, STEP_BULLETS, f"in step {number}")
    return Step(
        line=line,
        number=number,
        title=title,
        fence=fences[0] if fences else None,
        why=_text(bullets, "Why"),
        expects=tuple(expectations(bullets["Expect"])) if "Expect" in bullets else (),
        budget_seconds=_duration(bullets["Budget"]) if "Budget" in bullets else None,
        undo=_command(bullets["Undo"]) if "Undo" in bullets else None,
        if_not=_jump(bullets["If not"]) if "If not" in bullets else None,
        then=_jump(bullets["Then"]) if "Then" in bullets else None,
        person=_text(bullets, "Person"),
    )


def _text(bullets: dict[str, Bullet], key: str) -> str | None:
    return bullets[key].text if key in bullets else None


def _duration(bullet: Bullet) -> float:
    try:
        return parse_seconds(bullet.text)
    except ValueError as error:
        raise PageError(bullet.line, str(error)) from None


def _command(bullet: Bullet) -> str:
    match = re.fullmatch(r"`([^`]+)`", bullet.text)
    if match is None:
        raise PageError(bullet.line, f"`{bullet.text}` is not allowed; write one command between backticks")
    return match[1]


def _jump(bullet: Bullet) -> Jump:
    if bullet.key == "Then" and bullet.text == "done":
        return Jump(bullet.line, None)
    match = _JUMP.fullmatch(bullet.text)
    if match is None:
        done = "`done`, " if bullet.key == "Then" else ""
        forms = f"{done}`go to N` or `go to N, at most M times, then go to K`"
        raise PageError(bullet.line, f"`{bullet.text}` is not a valid jump; write {forms}")
    step, at_most, afterwards = (None if part is None else int(part) for part in match.groups())
    return Jump(bullet.line, step, at_most, afterwards)
