"""An observer in a thread of the test, over a ledger that can be read at any time."""

from __future__ import annotations

import threading
from pathlib import Path

from runbooks.observe.ledger import Ledger, LedgerWriter, read_ledger
from runbooks.observe.observer import Observer, ObserverSettings
from tests.runbooks.fake_fleet_process import eventually

INTERVAL = 0.05


def read(path: Path) -> Ledger:
    ledger = read_ledger(path)
    assert ledger is not None
    return ledger


class Observation:
    def __init__(self, endpoint: str, path: Path) -> None:
        self.path = path
        self.stop = threading.Event()
        self._writer = LedgerWriter(path)
        settings = ObserverSettings(endpoint, INTERVAL, timeout_seconds=1.0, max_seconds=60.0)
        self._observer = Observer(settings, self._writer, "test")
        self._thread = threading.Thread(target=self._observer.run, args=[self.stop])
        self._thread.start()

    @property
    def ledger(self) -> Ledger:
        return read(self.path)

    def await_canaries(self, count: int) -> None:
        goal = len(self.ledger.canaries) + count if self.path.stat().st_size else count
        eventually(lambda: len(self.ledger.canaries) >= goal)

    def end(self) -> Ledger:
        self.stop.set()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        self._writer.close()
        return self.ledger
