"""Expectations of a step: an exit code, or the output of a command, at once or within a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.durations import parse_seconds
from runbooks.pages.blocks import Bullet, PageError

_WITHIN = r"(?: within (?P<within>budget|[\d.hms]+))?"
_EXIT = re.compile(r"exit (?P<code>\d+)")
_EXITS = re.compile(r"`(?P<command>[^`]+)` exits (?P<code>\d+)" + _WITHIN)
_PRINTS = re.compile(r"`(?P<command>[^`]+)` prints `(?P<text>[^`]+)`" + _WITHIN)
_ITEM = re.compile(r"(?:[^;`]|`[^`]*`)+")


@dataclass(frozen=True)
class Expectation:
    """One expectation. `command` is None for the exit code of the fence itself.

    `within_seconds` is None for a single check, and infinite for checks until the budget ends.
    """

    line: int
    command: str | None
    exit_code: int | None
    text: str | None
    within_seconds: float | None
    source: str


def expectations(bullet: Bullet) -> Iterator[Expectation]:
    """Yield the expectations of an `Expect` bullet, in order. Raises PageError."""
    for item in _ITEM.findall(bullet.text):
        yield _expectation(bullet.line, item.strip())


def _expectation(line: int, item: str) -> Expectation:
    match = _EXIT.fullmatch(item) or _EXITS.fullmatch(item) or _PRINTS.fullmatch(item)
    if match is None:
        forms = "`exit 0`, `` `command` exits 0 ``, `` `command` prints `text` ``"
        late = "the last two may end in `within budget` or `within 90s`"
        raise PageError(line, f"`{item}` is not a valid expectation; write {forms}; {late}")
    parts = match.groupdict()
    return Expectation(
        line=line,
        command=parts.get("command"),
        exit_code=int(parts["code"]) if parts.get("code") else None,
        text=parts.get("text"),
        within_seconds=_within(line, parts.get("within")),
        source=item,
    )


def _within(line: int, text: str | None) -> float | None:
    if text is None:
        return None
    if text == "budget":
        return float("inf")
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise PageError(line, str(error)) from None
