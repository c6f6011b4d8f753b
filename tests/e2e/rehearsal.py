"""The verbs of a rehearsal, called as a user calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rehearsal.emulator.launch import PROJECT, free_port
from rehearsal.session import leftovers
from vectorfleet import waiting
from vectorfleet.api_key import find_key

STEP_SECONDS = 400.0
END_SECONDS = 60.0


class Rehearsal:
    """Calls and processes on one state folder and port."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "state"
        self.log = folder / "said.log"
        self.port = free_port()
        self.child: subprocess.Popen[bytes] | None = None

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vectorfleet", *arguments, "--root", str(self.root)]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=STEP_SECONDS, check=False)

    def up(self) -> None:
        done = self.call("up", "--port", str(self.port))
        assert done.returncode == 0, done.stderr

    def start_run(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "vectorfleet", "rehearse", "--profile", "short"]
        command += ["--root", str(self.root), "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                command, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True, preexec_fn=_hear_interrupts
            )
        return self.child

    def outputs(self) -> dict[str, Any]:
        """Outputs of the stack, whose key the test uses from then on."""
        find_key(self.root / "outputs.json")
        return dict(json.loads((self.root / "outputs.json").read_text()))

    def booted(self) -> bool:
        """Return True if the fleet's instances have started."""
        assert self.child is None or self.child.poll() is None, self.log.read_text()
        return len(list(self.root.glob("logs/node-*.log"))) >= 4

    def nobody(self) -> bool:
        return leftovers(self.root) == []

    def end(self) -> None:
        if self.child is not None and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        self.call("down")


def _hear_interrupts() -> None:
    """As at a terminal: what a shell starts in the background ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def until(reached: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until the condition is true; fail with `what` after the deadline."""
    assert waiting.until(reached, seconds, 0.1), f"{what} did not happen in {seconds:g} s"
