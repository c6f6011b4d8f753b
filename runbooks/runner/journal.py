"""The journal of a run: the intent and the outcome of each step, each on disk at once.

Records: `start`, `intent` and `outcome` of a step, `undo` (the command that would undo it), `child` (the running
process group), `end`. After a runner has died, another continues from the journal.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbooks.jsonlines import RecordWriter, read_records
from runbooks.pages.page import Page
from runbooks.runner.shell import end_group, start_ticks
from vectorfleet.refusal import Refusal
from vectorfleet.verdicts import Verdict


class CannotResumeError(Refusal):
    """The journal does not belong to the page, or holds no unfinished run."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run. `step` is the next to run, or None when the work is done."""

    step: int | None
    interrupted: bool
    outcomes: tuple[dict[str, Any], ...]
    undo: tuple[str, ...]
    jumps: Counter[int]


class Journal(RecordWriter):
    """A writer for one run. Times are monotonic seconds; `wall` is the time of day for readers."""

    def start(self, page: Page, mode: str) -> None:
        self.write("start", page=page.identity, digest=page.digest, mode=mode, pid=os.getpid(), wall=time.time())

    def resume(self) -> None:
        self.write("resume", pid=os.getpid(), wall=time.time())

    def intent(self, step: int, title: str) -> None:
        self.write("intent", step=step, title=title, wall=time.time())

    def child(self, group: int) -> None:
        self.write("child", group=group, ticks=start_ticks(group))

    def undo(self, step: int, command: str) -> None:
        self.write("undo", step=step, command=command)

    def outcome(self, record: dict[str, Any]) -> None:
        self.write("outcome", **record)

    def end(self, verdict: Verdict, sentence: str) -> None:
        self.write("end", verdict=verdict.value, sentence=sentence)


def unfinished(path: Path) -> bool:
    """Return whether a journal holds a run that started and did not end."""
    records = read_records(path) if path.exists() else []
    return bool(records) and records[-1]["record"] != "end"


def read_progress(path: Path, page: Page) -> Progress:
    """Return the progress of an unfinished run. Raises CannotResumeError."""
    records = read_records(path) if path.exists() else []
    if not unfinished(path):
        raise CannotResumeError(f"{path} holds no unfinished run; start a new run without --resume")
    if records[0].get("digest") != page.digest:
        raise CannotResumeError(
            f"{path} belongs to another version of {page.path}; finish that run by hand, or name another --journal"
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


def _jumps(outcomes: tuple[dict[str, Any], ...]) -> Counter[int]:
    """Count how often each step was left by its limited jump."""
    return Counter(outcome["step"] for outcome in outcomes if outcome["limited"])


def end_left_over_child(path: Path) -> None:
    """Kill the process group that a dead runner left behind, if it is still the same process."""
    children = [record for record in read_records(path) if record["record"] == "child"]
    if children and children[-1]["ticks"] is not None:
        group = int(children[-1]["group"])
        if start_ticks(group) == children[-1]["ticks"]:
            end_group(group)
