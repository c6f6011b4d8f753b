"""Resuming from a journal after a crash; the crash itself is in the wire tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.runner.journal import CannotResumeError, read_progress
from tests.runbooks.small_pages import PERSON, page, run, step, trail


def crash_after(folder: Path, records: int) -> None:
    """Leave the journal of a runner that died after so many records."""
    path = folder / "journal.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:records]) + '{"torn')


TWO = (
    step(1, "echo 1 >> trace", "Undo: `true`", "If not: go to 2"),
    step(2, "echo 2 >> trace", "If not: go to 1", "Then: done"),
)


@pytest.mark.parametrize(
    ("records", "trace"),
    [(1, "1 2"), (2, "1 2"), (4, "1 2"), (5, "2"), (6, "2"), (7, "2"), (8, "")],
)
def test_a_resumed_run_does_the_steps_without_an_outcome(tmp_path: Path, records: int, trace: str) -> None:
    first = run(page(*TWO), tmp_path)
    (tmp_path / "trace").unlink()
    crash_after(tmp_path, records)
    done = run(page(*TWO), tmp_path, resume=True)
    seen = (tmp_path / "trace").read_text().split() if (tmp_path / "trace").exists() else []
    assert " ".join(seen) == trace
    assert done.resumed
    assert (done.verdict, trail(done)) == (first.verdict, trail(first))


def test_limits_are_remembered_over_a_crash(tmp_path: Path) -> None:
    again = "If not: go to 1, at most 2 times, then go to 2"
    found = page(step(1, "echo x >> n; false", again, "Then: done"), step(2, "", PERSON))
    run(found, tmp_path)
    (tmp_path / "n").unlink()
    crash_after(tmp_path, 7)
    done = run(found, tmp_path, resume=True)
    assert trail(done) == [(1, "FAIL")] * 3
    assert (tmp_path / "n").read_text().count("x") == 1


def test_another_page_does_not_resume(tmp_path: Path) -> None:
    run(page(*TWO), tmp_path)
    crash_after(tmp_path, 2)
    other = page(step(1, "true", "If not: go to 1", "Then: done"))
    with pytest.raises(CannotResumeError, match="another version"):
        read_progress(tmp_path / "journal.jsonl", other)


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    run(page(*TWO), tmp_path)
    with pytest.raises(CannotResumeError, match="no unfinished run"):
        run(page(*TWO), tmp_path, resume=True)
