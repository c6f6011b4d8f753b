"""Runs a page's commands with `sh`, each in its own process group that never outlives its deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

KILL_GRACE_SECONDS = 2.0
OUTPUT_LIMIT_CHARACTERS = 20_000


@dataclass(frozen=True)
class Ran:
    """`exit_code` is None when the deadline ended the run. `output` holds stdout and stderr."""

    exit_code: int | None
    output: str
    seconds: float


def _nobody(_pid: int) -> None:
    """Nobody needs to know the process."""


@dataclass(frozen=True)
class Shell:
    """Where commands run. `started` hears the process group's id before the command can do much."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    started: Callable[[int], None] = _nobody

    def run(self, script: str, deadline: float) -> Ran:
        """Run a script until `deadline` (monotonic seconds). The first failing line ends it (`sh -eu`)."""
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                ["sh", "-eu", "-c", script],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self.started(process.pid)
                exit_code = _wait(process, deadline)
            finally:
                end_group(process.pid)
                process.wait()
            output.seek(0)
            text = output.read().decode(errors="replace")
        return Ran(exit_code, text[-OUTPUT_LIMIT_CHARACTERS:], time.monotonic() - began)


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    try:
        return process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=KILL_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)
    return None


def end_group(group: int) -> None:
    """Kill what is left of a process group: a step leaves nothing running."""
    _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def start_ticks(pid: int) -> int | None:
    """When a process started, in kernel ticks since boot; None when there is no such process.

    Together with its id this names a process for good: ids are used again.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])
