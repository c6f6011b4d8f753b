"""Processes that a drill starts beside itself: the observer and the background load."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TERM_GRACE_SECONDS = 15.0


class Child:
    """A process group of its own, with a log file; it is gone when `stop` returns."""

    def __init__(self, command: Sequence[str], log: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self.command = tuple(command)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """Ask it to end, then end its whole group; returns the exit code."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=TERM_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._signal(signal.SIGKILL)
        return self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return
