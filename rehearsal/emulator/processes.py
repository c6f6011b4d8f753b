"""Child processes that never outlive the rehearsal, and records of them that survive it.

Any safeguard can fail, so there are three: a death signal from the parent; a session for each child, so that a whole
tree gets a signal at once; and a pid file with the start time, so that a reused pid is never killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from vectorfleet.waiting import until

_PR_SET_PDEATHSIG = 1
KILL_SECONDS = 5.0
# Loaded before any fork: between fork and exec only async-signal-safe work is allowed.
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Process:
    """A process; `started` is its start time in clock ticks since boot, from /proc."""

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
    detached: bool = False,
) -> subprocess.Popen[bytes]:
    """Start `argv` in a new session; unless it is detached, the kernel kills it when the calling process dies.

    The death signal follows the *thread* that forks, so the caller must be the main thread. Raises OSError.
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
        preexec_fn=None if detached else lambda: _die_with_parent(parent),
    )


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may have spaces and brackets; no field after the last bracket has.
    return text[text.rindex(")") + 2 :].split()


def start_time(pid: int) -> int | None:
    """Return the start time of a living process in clock ticks since boot; None if it is gone or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def identify(pid: int, name: str = "") -> Process | None:
    """Return the process that has `pid` now, or None."""
    started = start_time(pid)
    return None if started is None else Process(pid, started, name)


def alive(process: Process) -> bool:
    """Return whether this process still runs; a later one with its pid does not count."""
    return start_time(process.pid) == process.started


def write_pid_file(path: Path, process: Process) -> None:
    """Record a process in a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(process)))
    draft.replace(path)


def recorded(path: Path) -> Process | None:
    """Return the process of a pid file; None if it has ended, or the file is missing or invalid."""
    try:
        fields = json.loads(path.read_text())
        process = Process(int(fields["pid"]), int(fields["started"]), str(fields.get("name", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return process if alive(process) else None


def living(folder: Path) -> list[Process]:
    """Return the processes of a folder's pid files that still run."""
    found = (recorded(path) for path in sorted(folder.glob("*.pid")))
    return [process for process in found if process]


def session(leader: int) -> list[int]:
    """Return the pids of all living processes in the session of `leader`, with the leader itself."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ValueError):
            fields = _stat(pid)
            if fields and fields[0] not in "ZX" and int(fields[3]) == leader:
                members.append(pid)
    return members


def signal_group(process: Process, number: int) -> bool:
    """Send a signal to the process group of a leader; return False if the leader is gone."""
    if not alive(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        return True
    return False


def _kill_members(leader: int) -> bool:
    """Kill the members of a session; return whether it had none."""
    members = session(leader)
    for pid in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not members


def kill_session(process: Process) -> list[int]:
    """Kill all members of the session of a leader, and wait until /proc has none.

    Return the pids that are left after KILL_SECONDS. If the leader is gone, members are still killed: their
    session id can't be reused while they live.
    """
    if start_time(process.pid) not in (None, process.started):
        return []
    until(lambda: _kill_members(process.pid), KILL_SECONDS, 0.01)
    return session(process.pid)


def stop(process: Process, *, grace_seconds: float) -> list[int]:
    """Send SIGTERM to the group, wait up to `grace_seconds`, then kill. Return the pids that are left."""
    if signal_group(process, signal.SIGTERM):
        until(lambda: not session(process.pid), grace_seconds, 0.02)
    return kill_session(process)
