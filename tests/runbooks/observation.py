"""The fake fleet as a process, and an observer of it in a thread."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from runbooks.ledger import Ledger, LedgerWriter, read_ledger
from runbooks.observer import Observer, ObserverSettings

FAKE = Path(__file__).with_name("fake_fleet.py")
INTERVAL = 0.05


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


class FakeFleet:
    """The fake as a process on a fixed port, over one log file."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log.jsonl"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, flaw: str = "none") -> None:
        command = [sys.executable, str(FAKE), "--port", str(self.port), "--log", str(self.log), "--flaw", flaw]
        self.process = subprocess.Popen(command)
        until(self.answers)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def hang(self, on: bool) -> None:
        body = json.dumps({"hang": on}).encode()
        with urllib.request.urlopen(f"{self.endpoint}/_fake/hang", data=body, timeout=5) as reply:
            reply.read()


class Observation:
    """An observer in a thread of the test, over a ledger that can be read at any time."""

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
        ledger = read_ledger(self.path)
        assert ledger is not None
        return ledger

    def await_canaries(self, count: int) -> None:
        goal = len(self.ledger.canaries) + count if self.path.stat().st_size else count
        until(lambda: len(self.ledger.canaries) >= goal)

    def end(self) -> Ledger:
        self.stop.set()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        self._writer.close()
        return self.ledger
