"""What runs beside a drill: the observer with its ledger, and the background load."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from runbooks.drills.children import Child
from runbooks.drills.evidence import canaries, healthy_streak
from runbooks.drills.settings import DrillFiles
from runbooks.durations import spoken
from runbooks.jsonlines import DamagedFileError
from runbooks.ledger import Ledger, read_ledger
from runbooks.stack import Stack

POLL_SECONDS = 0.5


class NotMeasuredError(Exception):
    """The drill can't go on; the sentence says why nothing was measured."""


class Surroundings:
    """Starts and ends what runs beside the drill; after `stop` none of it is left."""

    def __init__(self, stack: Stack, files: DrillFiles, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._children: list[Child] = []
        self._observer: Child | None = None
        self.environment = stack.environment()

    def start_load(self, command: Sequence[str]) -> None:
        self._start(command, self._files.load_log)

    def start_observer(self, endpoint: str, interval_seconds: float, max_seconds: float) -> None:
        """Start the observer as a process of its own that ends with this one, whatever happens."""
        command = [
            *(sys.executable, "-m", "runbooks", "observe", "--end-with-parent"),
            *("--endpoint", endpoint),
            *("--ledger", str(self._files.ledger.resolve())),
            *("--interval", f"{interval_seconds:g}s"),
            *("--for", f"{max_seconds:g}s"),
        ]
        self._observer = self._start(command, self._files.observer_log)

    def _start(self, command: Sequence[str], log: Path) -> Child:
        child = Child(command, log, self._folder, self.environment)
        self._children.append(child)
        return child

    @property
    def observing(self) -> bool:
        return self._observer is not None and self._observer.running

    def await_healthy(self, wanted: int, within_seconds: float) -> None:
        """Wait for that many good canaries in a row. Raises NotMeasuredError when they do not come."""
        deadline = time.monotonic() + within_seconds
        while self._streak() < wanted:
            if not self.observing:
                raise NotMeasuredError(f"The observer ended before the fault: {self.last_words()}.")
            if time.monotonic() > deadline:
                raise NotMeasuredError(f"The service was not healthy before the fault, for {spoken(within_seconds)}.")
            time.sleep(POLL_SECONDS)
        for child in self._children:
            if not child.running:
                raise NotMeasuredError(f"`{' '.join(child.command)}` ended before the fault; see {self._files.folder}.")

    def _streak(self) -> int:
        ledger = self.ledger()
        return healthy_streak(canaries(ledger.canaries)) if ledger else 0

    def last_words(self) -> str:
        """Why the observer says it ended, or where its log is."""
        ledger = self.ledger()
        return ledger.reason if ledger and ledger.reason else f"see {self._files.observer_log}"

    def ledger(self) -> Ledger | None:
        """The ledger as it stands. Raises NotMeasuredError when it is damaged."""
        try:
            return read_ledger(self._files.ledger)
        except DamagedFileError as error:
            raise NotMeasuredError(f"The ledger is damaged: {error}.") from error

    def stop(self) -> None:
        while self._children:
            self._children.pop().stop()
