"""The transcript on the README's first screen, compared with the end of a rehearsal's output."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from rehearsal.job import conclude
from rehearsal.narrator import Narrator
from rehearsal.record import Record
from tests.pages import FENCE, ROOT, text

COMPLETE = ROOT / "tests" / "rehearsal" / "complete_record.json"
NUMBER = re.compile(r"\d[\d,.]*")
TERMINAL_COLUMNS = 80


def printed_at_the_end(root: Path) -> list[str]:
    """Return the lines that a passed rehearsal prints below the heading of its last step."""
    record = Record("full", "aws", findings=json.loads(COMPLETE.read_text()))
    record["load"] |= {"smoke": True}
    output = io.StringIO()
    assert conclude(root, record, Narrator(Console(file=output, width=TERMINAL_COLUMNS), headings=1), 0, []) == 0
    _, heading, *lines = output.getvalue().splitlines()
    assert heading.startswith("1/1  Report")
    return lines


def test_transcript_is_the_end_of_a_rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first_screen = text("README.md").split("\n## ")[0]
    ((_, transcript),) = FENCE.findall(first_screen)
    command, *shown = transcript.splitlines()
    assert command == "$ make rehearse"
    assert [NUMBER.sub("#", line) for line in shown] == [
        NUMBER.sub("#", line) for line in printed_at_the_end(tmp_path / ".rehearsal")
    ]
