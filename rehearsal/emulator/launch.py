"""Start an emulator process and wait until it answers."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from rehearsal.processes import spawn

PROJECT = Path(__file__).resolve().parents[2]


class EmulatorFailedError(Exception):
    """The emulator ended or did not answer in time; the message holds the end of its log."""


def free_port() -> int:
    """A port that nobody listens on at this moment, outside of the range outgoing connections are given."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise EmulatorFailedError("None of 100 ports between 20000 and 32000 is free on 127.0.0.1.")


def healthy(port: int) -> bool:
    """Whether an emulator answers on the port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_vectorfleet/health", timeout=1) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-2000:]


def start(
    port: int, root: Path, log_path: Path | None = None, *, timeout_seconds: float = 60.0
) -> subprocess.Popen[bytes]:
    """Start `python -m rehearsal.emulator`, log to `log_path` (default root/logs/emulator.log), await health.

    Raises EmulatorFailedError when it ends early or does not answer within `timeout_seconds`.
    """
    path = log_path or root / "logs" / "emulator.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    with path.open("ab") as log:
        argv = [sys.executable, "-m", "rehearsal.emulator", "--port", str(port)]
        child = spawn(argv, environment=environment, directory=PROJECT, log=log)
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and child.poll() is None:
        if healthy(port):
            return child
        time.sleep(0.05)
    code = child.poll()
    child.kill()
    child.wait()
    outcome = f"ended with exit code {code}" if code is not None else f"did not answer in {timeout_seconds:g} s"
    raise EmulatorFailedError(f"The emulator on port {port} {outcome}. End of {path}:\n{_tail(path)}")
