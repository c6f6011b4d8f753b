"""Child processes that never outlive the rehearsal, and records of them that survive it.

Three independent safeguards, because any one can fail: a death signal from the parent, a session per child
so that a whole tree can be signalled at once, and a pid file that holds the start time, so that a pid the
kernel has given to somebody else is never killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: between fork and exec only async-signal-safe work is allowed.
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Process:
    """One living process: `started` is its start time in clock ticks since boot, from /proc."""

    pid: int
    started: int
    name: str = ""


def _die_with_parent(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)


def spawn(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path | str,
    log: IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own; the kernel kills it when the calling process dies.

    The death signal follows the *thread* that forks, so this refuses to run outside the main thread.
    Raises OSError when the program can't be started.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("spawn() must be called from the main thread: its death signal follows the thread.")
    parent = os.getpid()
    return subprocess.Popen(
        list(argv),
        env=dict(environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: _die_with_parent(parent),
    )


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name field may hold spaces and brackets; everything after the last bracket is plain.
    return text[text.rindex(")") + 2 :].split()


def start_time(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot; None for none or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def identify(pid: int, name: str = "") -> Process | None:
    """The process that has `pid` now, or None."""
    started = start_time(pid)
    return None if started is None else Process(pid, started, name)


def alive(process: Process) -> bool:
    """Whether this very process (not a later one with its pid) still runs."""
    return start_time(process.pid) == process.started


def write_pid_file(path: Path, process: Process) -> None:
    """Record a process; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(process)))
    draft.replace(path)


def read_pid_file(path: Path) -> Process | None:
    """The recorded process; None when the file is missing or is no pid file."""
    try:
        fields = json.loads(path.read_text())
        return Process(int(fields["pid"]), int(fields["started"]), str(fields.get("name", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def living(folder: Path) -> list[Process]:
    """The processes that the pid files of a folder name and that still run."""
    found = (read_pid_file(path) for path in sorted(folder.glob("*.pid")))
    return [process for process in found if process and alive(process)]


def session(leader: int) -> list[int]:
    """Pids of all living processes in the session that `leader` leads, the leader itself included."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ValueError):
            fields = _stat(pid)
            if fields and fields[0] not in "ZX" and int(fields[3]) == leader:
                members.append(pid)
    return members


def signal_group(process: Process, number: int) -> bool:
    """Send a signal to the group a process leads. False when that process is gone."""
    if not alive(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        return True
    return False


def _kill_members(leader: int) -> None:
    for pid in session(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_session(process: Process, *, timeout_seconds: float = 5.0) -> list[int]:
    """Kill everything in the session a process leads and wait until /proc shows nobody.

    Returns the pids that are left after `timeout_seconds`: an empty list is success. When the leader is
    gone, its session id can't have been reused while members live, so these are still killed.
    """
    if start_time(process.pid) not in (None, process.started):
        return []
    deadline = time.monotonic() + timeout_seconds
    left = session(process.pid)
    while left and time.monotonic() < deadline:
        _kill_members(process.pid)
        time.sleep(0.01)
        left = session(process.pid)
    return left


def stop(process: Process, *, grace_seconds: float, timeout_seconds: float = 5.0) -> list[int]:
    """Ask the group to end (SIGTERM), wait up to `grace_seconds`, then kill. Returns who is left."""
    deadline = time.monotonic() + grace_seconds
    if signal_group(process, signal.SIGTERM):
        while time.monotonic() < deadline and session(process.pid):
            time.sleep(0.02)
    return kill_session(process, timeout_seconds=timeout_seconds)
