"""The headings, bullets and command blocks of a runbook page; nothing else is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectorfleet.refusal import Refusal

_HEADING = re.compile(r"(#{1,2}) (\S.*)")
_BULLET = re.compile(r"- ([A-Z][A-Za-z0-9 ]*): (\S.*)")
_FENCE = re.compile(r"```sh(?: (\{.*\}))?")
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class PageError(Refusal):
    """A mistake on a page, with its line."""

    def __init__(self, line: int, mistake: str, path: Path | None = None) -> None:
        place = f"{path}:{line}" if path else f"line {line}"
        super().__init__(f"{place}: {mistake}")
        self.line = line
        self.mistake = mistake

    def at(self, path: Path) -> PageError:
        """Return the same mistake with the page's path."""
        return PageError(self.line, self.mistake, path)


@dataclass(frozen=True)
class Heading:
    line: int
    level: int
    text: str


@dataclass(frozen=True)
class Bullet:
    """A bullet `- key: text`; its continuation lines are joined by one space."""

    line: int
    key: str
    text: str


@dataclass(frozen=True)
class Fence:
    """A command block. `line` is the line of its first command."""

    line: int
    name: str | None
    script: str


Block = Heading | Bullet | Fence


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page in order. Raises PageError at the first line that belongs to none."""
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        if not lines[index].strip():
            index += 1
            continue
        block, index = _block(lines, index)
        yield block


def _block(lines: list[str], index: int) -> tuple[Block, int]:
    line = lines[index]
    if line.startswith("```"):
        return _fence(lines, index)
    if heading := _HEADING.fullmatch(line):
        return Heading(index + 1, len(heading[1]), heading[2].strip()), index + 1
    if bullet := _BULLET.fullmatch(line):
        return _bullet(lines, index, bullet)
    raise PageError(index + 1, f"`{line.strip()}` is not allowed; write a heading, `- Key: text` or a command block")


def _bullet(lines: list[str], index: int, match: re.Match[str]) -> tuple[Bullet, int]:
    parts = [match[2].strip()]
    after = index + 1
    while after < len(lines) and re.match(r"  \S", lines[after]):
        parts.append(lines[after].strip())
        after += 1
    return Bullet(index + 1, match[1], " ".join(parts)), after


def _fence(lines: list[str], index: int) -> tuple[Fence, int]:
    match = _FENCE.fullmatch(lines[index].rstrip())
    if match is None:
        raise PageError(index + 1, 'this line cannot open a command block; write ```sh or ```sh {"name": "…"}')
    after = index + 1
    while after < len(lines) and lines[after].rstrip() != "```":
        after += 1
    if after == len(lines):
        raise PageError(index + 1, "this command block is never closed; end it with ```")
    script = "\n".join(lines[index + 1 : after])
    if not script.strip():
        raise PageError(index + 1, "this command block is empty; write a command or delete it")
    return Fence(index + 2, _name(index + 1, match[1]), script), after + 1


def _name(line: int, attributes: str | None) -> str | None:
    if attributes is None:
        return None
    try:
        found: Any = json.loads(attributes)
    except ValueError as error:
        raise PageError(line, f"`{attributes}` is not valid JSON: {error}") from None
    name = found.get("name")
    if set(found) != {"name"} or not isinstance(name, str) or not _NAME.fullmatch(name):
        allowed = 'one attribute, "name", in lower-case letters, digits and -'
        raise PageError(line, f"`{attributes}` is not allowed; write {allowed}")
    return name
