"""The journal of a run: what is about to be done, then what came of it, each on disk at once.

Records: `start`, `intent` and `outcome` of a step, `undo` (the command that would take it back),
`child` (the process group at work), `end`. A runner that died is continued from here.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbooks.jsonlines import Appender, read_records
from runbooks.runner.page import Page
from runbooks.runner.shell import end_group, start_ticks
from runbooks.verdict import Verdict


class CannotResumeError(Exception):
    """The journal does not fit what is asked for."""


@dataclass(frozen=True)
class Progress:
    """How far a run got. `step` is the next to run, None when the work is done."""

    step: int | None
    interrupted: bool
    outcomes: tuple[dict[str, Any], ...]
    undo: tuple[str, ...]
    jumps: dict[int, int]


class Journal:
    """Writes one run. Times are monotonic seconds; `wall` is there for people."""

    def __init__(self, path: Path) -> None:
        self._lines = Appender(path)

    def start(self, page: Page, mode: str) -> None:
        self._write("start", page=page.identity, digest=page.digest, mode=mode, pid=os.getpid(), wall=time.time())

    def resume(self) -> None:
        self._write("resume", pid=os.getpid(), wall=time.time())

    def intent(self, step: int, title: str) -> None:
        self._write("intent", step=step, title=title, wall=time.time())

    def child(self, group: int) -> None:
        self._write("child", group=group, ticks=start_ticks(group))

    def undo(self, step: int, command: str) -> None:
        self._write("undo", step=step, command=command)

    def outcome(self, record: dict[str, Any]) -> None:
        self._write("outcome", **record)

    def end(self, verdict: Verdict, sentence: str) -> None:
        self._write("end", verdict=verdict.value, sentence=sentence)

    def close(self) -> None:
        self._lines.close()

    def _write(self, record: str, **values: Any) -> None:
        self._lines.append({"record": record, "at": round(time.monotonic(), 6), **values})


def unfinished(path: Path) -> bool:
    """Whether a journal holds a run that started and did not end."""
    records = read_records(path) if path.exists() else []
    return bool(records) and records[-1]["record"] != "end"


def read_progress(path: Path, page: Page) -> Progress:
    """Where an unfinished run stands. Raises CannotResumeError when page and journal do not fit."""
    records = read_records(path) if path.exists() else []
    if not unfinished(path):
        raise CannotResumeError(f"{path} holds no unfinished run; start a new one without --resume")
    if records[0].get("digest") != page.digest:
        raise CannotResumeError(
            f"{path} was written by another version of {page.path}; finish it by hand or start a new journal"
        )
    outcomes = tuple(record for record in records if record["record"] == "outcome")
    intents = sum(record["record"] == "intent" for record in records)
    return Progress(
        step=outcomes[-1]["next"] if outcomes else 1,
        interrupted=intents > len(outcomes),
        outcomes=outcomes,
        undo=tuple(record["command"] for record in records if record["record"] == "undo"),
        jumps=_jumps(outcomes),
    )


def _jumps(outcomes: tuple[dict[str, Any], ...]) -> dict[int, int]:
    """How often each step was left by its limited way."""
    counts: dict[int, int] = {}
    for outcome in outcomes:
        if outcome["limited"]:
            counts[outcome["step"]] = counts.get(outcome["step"], 0) + 1
    return counts


def end_left_over_child(path: Path) -> None:
    """Kill the process group that a dead runner left at work, if it is still the same process."""
    children = [record for record in read_records(path) if record["record"] == "child"]
    if children and children[-1]["ticks"] is not None:
        group = int(children[-1]["group"])
        if start_ticks(group) == children[-1]["ticks"]:
            end_group(group)
