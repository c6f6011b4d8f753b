"""The emulated AWS's compute on a folder of a test, so that instances run their user data."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal.emulator import processes
from rehearsal.emulator.launch import PROJECT


@contextmanager
def computing(emulator: str, root: Path) -> Iterator[None]:
    """Run compute while the block runs, and check that all its processes end with it."""
    argv = [sys.executable, "-m", "rehearsal.emulator.compute", "--endpoint", emulator, "--root", str(root)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with (root / "compute.log").open("wb") as log:
        child = processes.spawn(argv, environment=environment, directory=root, log=log)
    try:
        yield
    finally:
        members = [pid for process in processes.living(root / "pids") for pid in processes.session(process.pid)]
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=15)
    assert [pid for pid in members if processes.start_time(pid)] == []
