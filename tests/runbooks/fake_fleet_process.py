"""The fake fleet as a process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rehearsal.emulator.launch import free_port
from vectorfleet.waiting import until

FAKE = Path(__file__).with_name("fake_fleet.py")


def eventually(condition: Callable[[], Any], within_seconds: float = 60.0) -> None:
    assert until(condition, within_seconds, 0.02), "the condition did not come true in time"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class FakeFleet:
    """A fake fleet on a port of its own, over one log file that survives it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log.jsonl"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        command = [sys.executable, str(FAKE), "--port", str(self.port), "--log", str(self.log), *options]
        self.process = subprocess.Popen(command)
        eventually(lambda: listens(self.port))

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def hang(self, on: bool) -> None:
        body = json.dumps({"hang": on}).encode()
        with urllib.request.urlopen(f"{self.endpoint}/_fake/hang", data=body, timeout=5) as reply:
            reply.read()
