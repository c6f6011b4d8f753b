"""Processes beside a drill: the observer with its ledger, and the background load."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.stack.outputs import Stack
from runbooks.drills.settings import DrillFiles
from runbooks.durations import spoken
from runbooks.jsonlines import DamagedFileError
from runbooks.observe.ledger import Ledger, read_ledger
from runbooks.observe.windows import healthy_streak
from runbooks.runner.shell import end_group, page_environment, signal_group
from vectorfleet.waiting import until

POLL_SECONDS = 0.5
TERM_GRACE_SECONDS = 15.0


class NotMeasuredError(Exception):
    """The drill can't go on; the sentence says why nothing was measured."""


class Surroundings:
    """The processes beside a drill; after `stop` none of them is left."""

    def __init__(self, stack: Stack, files: DrillFiles, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._children: list[_Child] = []
        self._observer: _Child | None = None
        self.environment = page_environment(stack)

    def start_load(self, command: Sequence[str]) -> None:
        self._start(command, self._files.load_log)

    def start_observer(self, endpoint: str, interval_seconds: float, max_seconds: float) -> None:
        """Start the observer as a process of its own that ends with this one."""
        command = [
            *(sys.executable, "-m", "vectorfleet", "drill", "observe", "--end-with-parent"),
            *("--endpoint", endpoint),
            *("--ledger", str(self._files.ledger.resolve())),
            *("--interval", f"{interval_seconds:g}s"),
            *("--for", f"{max_seconds:g}s"),
        ]
        self._observer = self._start(command, self._files.observer_log)

    def _start(self, command: Sequence[str], log: Path) -> _Child:
        child = _Child(command, log, self._folder, self.environment)
        self._children.append(child)
        return child

    @property
    def observing(self) -> bool:
        return self._observer is not None and self._observer.running

    def await_healthy(self, wanted: int, within_seconds: float) -> None:
        """Wait for that many good canaries without a gap. Raises NotMeasuredError if they don't come."""

        def healthy() -> bool:
            ledger = self.ledger()
            if ledger and healthy_streak(ledger.canaries) >= wanted:
                return True
            if not self.observing:
                raise NotMeasuredError(f"The observer ended before the fault: {self.last_words()}.")
            return False

        if not until(healthy, within_seconds, POLL_SECONDS):
            raise NotMeasuredError(f"The service was not healthy before the fault, for {spoken(within_seconds)}.")
        for child in self._children:
            if not child.running:
                raise NotMeasuredError(f"`{' '.join(child.command)}` ended before the fault; see {self._files.folder}.")

    def last_words(self) -> str:
        """Return the reason why the observer ended, or the path of its log."""
        ledger = self.ledger()
        return ledger.reason if ledger and ledger.reason else f"see {self._files.observer_log}"

    def ledger(self) -> Ledger | None:
        """Read the ledger as it stands. Raises NotMeasuredError if it is damaged."""
        try:
            return read_ledger(self._files.ledger)
        except DamagedFileError as error:
            raise NotMeasuredError(f"The ledger is damaged: {error}.") from error

    def stop(self) -> None:
        while self._children:
            self._children.pop().stop()


class _Child:
    """A process group of its own, with a log file."""

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

    def stop(self) -> None:
        """End the process, then kill what is left of its group."""
        signal_group(self._process.pid, signal.SIGTERM)
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=TERM_GRACE_SECONDS)
        finally:
            end_group(self._process.pid)
            self._process.wait()
