from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from loadtests.evidence import WriteBatch
from loadtests.ledger import Ledger, look_up
from service.client import ServiceError, Unanswered


class Directory:
    """Holds some documents, and answers a number of look-ups."""

    def __init__(self, *held: str, answers: int = 100, error: Exception | None = None) -> None:
        self._held, self._answers, self._error = held, answers, error or Unanswered("gone")
        self.asked: list[list[str]] = []

    def lookup(self, source_ids: Sequence[str]) -> dict[str, Any]:
        self.asked.append(list(source_ids))
        if len(self.asked) > self._answers:
            raise self._error
        return {"documents": {one: {"position": 1} if one in self._held else None for one in source_ids}}


@pytest.mark.parametrize(
    ("source_id", "by", "written"),
    [
        ("load/3/10", 500.0, True),
        ("load/3/11", 499.1, True),
        ("load/3/10", 400.0, False),
        ("load/3/10", None, True),
        ("load/3/12", 500.0, False),
        ("load/3/20", 500.0, False),
        ("load/4/10", 500.0, False),
        ("load/1/1", 0.0, True),
        ("elsewhere", 500.0, False),
    ],
)
def test_a_document_is_written_from_when_it_was_sent(source_id: str, by: float | None, written: bool) -> None:
    """Also without an answer to its write; a batch that found no room was never sent."""
    batches = [WriteBatch(10, 4.0, 2, 0, 5.0, sent_at=500.0), WriteBatch(20, 4.0, 2, 0, None)]
    assert Ledger(3, batches, ["load/1/1"]).written(source_id, by) == written


def test_documents_of_tests_and_drills_are_looked_up_in_parts() -> None:
    directory = Directory("load/1/0", "load/1/1500", "vectorfleet/canary/1", "guide/1")
    asked = [*(f"load/1/{number}" for number in range(1501)), "guide/1", "vectorfleet/canary/1"]
    assert look_up(directory, asked) == ["load/1/0", "load/1/1500", "vectorfleet/canary/1"]
    assert [len(part) for part in directory.asked] == [1000, 502]


@pytest.mark.parametrize("error", [Unanswered("gone"), ServiceError(503, "starting", "", None)])
def test_what_is_not_answered_is_not_there(error: Exception) -> None:
    directory = Directory("load/1/0", "load/1/1200", answers=1, error=error)
    assert look_up(directory, (f"load/1/{number}" for number in range(3000))) == ["load/1/0"]
    assert len(directory.asked) == 2
