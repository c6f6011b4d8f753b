"""The hostile schedule in its short form; `python -m tests.e2e.hostile` runs it longer, by any seed."""

from __future__ import annotations

from tests.e2e.hostile.faults import LARGE
from tests.e2e.hostile.run import run
from tests.e2e.rehearsal import Rehearsal

SEED = 1
SECONDS = 60


def test_a_hostile_schedule_breaks_no_promise(rehearsal: Rehearsal) -> None:
    rehearsal.up()
    outcome = run(rehearsal, SEED, SECONDS, print)
    print(outcome.summary())
    assert outcome.violations == []
    # A schedule under which nothing is written or read would prove nothing.
    assert len(outcome.notes.acknowledged) > 200
    assert len(outcome.notes.looked) > 200
    assert outcome.notes.searched
    assert outcome.notes.claimed
    assert len(outcome.faults.keys() & {fault.__name__ for fault in LARGE}) >= len(LARGE) - 1
