"""Starting an apply in a process of its own and listening to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from rehearsal.deploy.errors import DeployError
from rehearsal.deploy.summary import Event, Failure, Step, Summary

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
LOG_FILE = "deploy.log"
DRAIN_SECONDS = 60.0

Progress = Callable[[Step], None]


def silent(_: Step) -> None:
    """Progress that nobody looks at."""


def up(stack: str, root: Path, endpoint: str, progress: Progress = silent, *, project: Path = PACKAGE_ROOT) -> Summary:
    """Apply the stack's program to the emulated AWS at `endpoint`; a second time it changes nothing.

    `project` is the folder of Pulumi.yaml, `root` the one of the state. Raises DeployError with one sentence; what was
    made until then is recorded and the next `up` or `destroy` goes on from there. Ctrl-C lets the creates under way
    finish first.
    """
    return _apply(["up", "--stack", stack, "--project", str(project)], root, endpoint, progress)


def preview(
    stack: str, root: Path, endpoint: str, progress: Progress = silent, *, project: Path = PACKAGE_ROOT
) -> Summary:
    """What `up` would do, as the same summary, without a call that changes anything."""
    return _apply(["preview", "--stack", stack, "--project", str(project)], root, endpoint, progress)


def destroy(root: Path, endpoint: str, progress: Progress = silent) -> Summary:
    """Delete everything that the state under `root` holds, and the state. Raises DeployError with one sentence."""
    return _apply(["destroy"], root, endpoint, progress)


def _apply(arguments: list[str], root: Path, endpoint: str, progress: Progress) -> Summary:
    log = root / "logs" / LOG_FILE
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]))
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "rehearsal.deploy.apply", *arguments, "--root", str(root), "--endpoint", endpoint],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            # Ctrl-C reaches the caller only, which then asks the apply to end in order.
            start_new_session=True,
        )
        try:
            last = _listen(process, progress)
        except BaseException:
            _end(process)
            raise
    if isinstance(last, Summary):
        return last
    if isinstance(last, Failure):
        raise DeployError(last.message)
    raise DeployError(
        f"the apply ended with code {process.returncode} and said nothing; see {log}. "
        "What it made is recorded: run again"
    )


def _listen(process: subprocess.Popen[bytes], progress: Progress) -> Event | None:
    """Pass the steps on; the last event once the process has ended."""
    assert process.stdout is not None
    last: Event | None = None
    for line in process.stdout:
        last = msgspec.json.decode(line, type=Event)
        if isinstance(last, Step):
            progress(last)
    process.stdout.close()
    process.wait()
    return last


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to stop making things, give what is under way its time, then end it."""
    process.send_signal(signal.SIGINT)
    timer = threading.Timer(DRAIN_SECONDS, process.kill)
    timer.start()
    try:
        _listen(process, silent)
    except KeyboardInterrupt:
        process.kill()
        _listen(process, silent)
    finally:
        timer.cancel()
