"""Start of the emulator's processes, and the wait until the emulator answers."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from rehearsal.emulator.processes import spawn
from vectorfleet.waiting import until

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0


class EmulatorFailedError(Exception):
    """The emulator ended or did not answer in time; the message has the end of its log."""


def free_port() -> int:
    """Return a free port outside of the range of outgoing connections."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise EmulatorFailedError("None of 100 ports between 20000 and 32000 is free on 127.0.0.1.")


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_vectorfleet/health", timeout=1) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def spawn_module(
    module: str, *arguments: str, log_path: Path, detached: bool = False, **variables: str
) -> subprocess.Popen[bytes]:
    """Start `python -m module` of this checkout, with its output appended to a log; see `processes.spawn`."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", **variables}
    with log_path.open("ab") as log:
        return spawn(argv, environment=environment, directory=PROJECT, log=log, detached=detached)


def start(port: int, root: Path) -> subprocess.Popen[bytes]:
    """Start an emulator that logs to root/logs/emulator.log, and wait until it answers. Raises EmulatorFailedError."""
    path = root / "logs" / "emulator.log"
    child = spawn_module("rehearsal.emulator", "--port", str(port), log_path=path)
    until(lambda: healthy(port) or child.poll() is not None, START_SECONDS, 0.05)
    if child.poll() is None and healthy(port):
        return child
    code = child.poll()
    child.kill()
    child.wait()
    end = path.read_text(errors="replace")[-2000:]
    outcome = f"ended with exit code {code}" if code is not None else f"did not answer in {START_SECONDS:g} s"
    raise EmulatorFailedError(f"The emulator on port {port} {outcome}. End of {path}:\n{end}")
