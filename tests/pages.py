"""The documentation's pages as the tests read them: sections, tables, code, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)(`+)(?!`)\s*(.+?)\s*(?<!`)\1(?!`)")


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def all_pages() -> str:
    return "\n".join(map(text, PAGES))


def section(name: str, heading: str) -> str:
    """A page's text below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n", text(name), re.MULTILINE)
    assert found, f"{name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(found[1])}}} ", text(name)[found.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def rows(markdown: str) -> list[list[str]]:
    """The cells of every table row, without head and rule."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {index for index, line in enumerate(lines) if set(line) <= set("|-: ")}
    return [row for index, row in enumerate(cells) if not {index, index + 1} & rules]


def codes(markdown: str) -> set[str]:
    """Everything that stands in backticks, outside of fences."""
    return {found for _, found in CODE.findall(FENCE.sub("", markdown))}


def first_codes(markdown: str) -> set[str]:
    """What stands in backticks in the first column of the tables."""
    return {name for row in rows(markdown) for name in codes(row[0])}


def shell_commands(page: str) -> Iterator[str]:
    """Every command of a page: lines of its sh fences, and inline code that begins like one."""
    for language, body in FENCE.findall(text(page)):
        if language == "sh":
            yield from (line for line in body.replace("\\\n", " ").splitlines() if line.strip())
    yield from (code for code in codes(text(page)) if re.match(r"(python|make|vectorfleet) [^…]+$", code))
