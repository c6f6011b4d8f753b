"""Processes that are left of a rehearsal: those that live and have its mark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from rehearsal.session import DATA, MARK, leftovers


class Seen:
    """A process of a rehearsal; it has ended when `ended_at` is called."""

    def __init__(self, pid: int, environment: dict[str, str], ended_at: str = "") -> None:
        self.pid, self._environment, self._ended_at = pid, environment, ended_at

    def _answer(self, name: str) -> None:
        if name == self._ended_at:
            raise psutil.ZombieProcess(self.pid)

    def status(self) -> str:
        self._answer("status")
        return str(psutil.STATUS_SLEEPING)

    def environ(self) -> dict[str, str]:
        self._answer("environ")
        return self._environment

    def cmdline(self) -> list[str]:
        self._answer("cmdline")
        return ["python", "-m", "service", str(self.pid)]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the processes of the machine."""
    return lambda *seen: monkeypatch.setattr(psutil, "process_iter", lambda: iter(seen))


def test_processes_with_the_mark_or_data_below_the_root_are_left(running: Callable[..., None], tmp_path: Path) -> None:
    root = str(tmp_path.resolve())
    other = Seen(3_000_003, {MARK: root + "-2", DATA: root + "-2/i-1"})
    running(Seen(3_000_001, {MARK: root}), Seen(3_000_002, {DATA: f"{root}/i-1"}), other, Seen(3_000_004, {}))
    assert leftovers(tmp_path) == ["3000001 python -m service 3000001", "3000002 python -m service 3000002"]


@pytest.mark.parametrize("ended_at", ["status", "environ", "cmdline"])
def test_a_process_that_ends_during_the_look_is_not_left(
    running: Callable[..., None], tmp_path: Path, ended_at: str
) -> None:
    marked = {MARK: str(tmp_path.resolve())}
    running(Seen(3_000_001, marked, ended_at), Seen(3_000_002, marked))
    assert leftovers(tmp_path) == ["3000002 python -m service 3000002"]
