"""A running emulated AWS: started, found again, and ended with no process left."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from rehearsal.emulator import processes
from rehearsal.emulator.launch import spawn_module
from rehearsal.emulator.supervisor import facts_file, pid_file
from vectorfleet.waiting import until

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
# Every process of a rehearsal inherits the first variable with the state folder; an instance's data lie below it.
MARK = "VECTORFLEET_REHEARSAL"
DATA = "VECTORFLEET_DATA"
# These stay from one rehearsal to the next: results that the user keeps, and the pid files of left-over processes.
KEPT = ("report", "pids", "load", "golden.json", "runbook.jsonl")
# These belong to one emulated AWS and are removed before the next one starts.
OWN = (
    "cache",
    "compute.json",
    "deploy.journal",
    "deploy.json",
    "deploy.lock",
    "emulator.json",
    "instances",
    "key",
    "logs",
    "outputs.json",
    "supervisor.pid",
)
# Suffixes of half-written files, which a kill may leave.
DRAFTS = (".tmp", ".draft")


class SessionError(Exception):
    """No emulated AWS runs, or none can start; the message says what to do."""


@dataclass(frozen=True)
class Session:
    """A running emulated AWS."""

    root: Path
    endpoint: str

    @property
    def outputs(self) -> Path:
        """Return the file with the outputs of the stack that is deployed on it."""
        return self.root / "outputs.json"


def begin(root: Path, port: int, *, detached: bool) -> Session:
    """
    Start an emulated AWS in a cleaned state folder and wait until it is up.

    Detached it outlives the caller; otherwise the kernel ends it with the caller. Raises SessionError.
    """
    root = root.resolve()
    refuse(root, port)
    clean(root)
    log_path = root / "logs" / "supervisor.log"
    arguments = ("emulate", "--port", str(port), "--root", str(root))
    mark = {MARK: str(root)}
    child = spawn_module("vectorfleet", *arguments, log_path=log_path, detached=detached, **mark)
    return _await_facts(root, child, log_path)


def refuse(root: Path, port: int) -> None:
    """Raise SessionError if a rehearsal runs on the folder, it holds foreign files, or the port is taken."""
    _refuse_foreign_files(root)
    if running(root):
        raise SessionError(f"a rehearsal already runs on {root}; `vectorfleet down` ends it")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SessionError(
                f"port {port} on 127.0.0.1 is in use; end the process that listens there, or choose another port: "
                "--port N (make rehearse PORT=N)"
            ) from None


def _refuse_foreign_files(root: Path) -> None:
    """Refuse a folder with other files than a rehearsal's own, so that none of them is ever removed."""
    names = {path.name for path in root.iterdir() if path.suffix not in DRAFTS} if root.is_dir() else set()
    if foreign := sorted(names - set(OWN) - set(KEPT)):
        raise SessionError(
            f"{root} is not a state folder: it holds {', '.join(foreign[:3])}. Name a new or empty folder with --root "
            "(make … ROOT=folder)"
        )


def clean(root: Path) -> None:
    """Remove the files of an emulated AWS that has ended."""
    for name in OWN:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _await_facts(root: Path, child: subprocess.Popen[bytes], log_path: Path) -> Session:
    until(lambda: facts_file(root).exists() or child.poll() is not None, START_SECONDS, POLL_SECONDS)
    if child.poll() is None and facts_file(root).exists():
        return find(root)
    if child.poll() is None:
        child.terminate()
        child.wait(STOP_SECONDS)
    raise SessionError(f"the emulated AWS did not start: {_last_line(log_path)} (log: {log_path})")


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else "its log is empty"


def running(root: Path) -> Session | None:
    if processes.recorded(pid_file(root)) is None or not facts_file(root).exists():
        return None
    return Session(root.resolve(), json.loads(facts_file(root).read_text())["endpoint"])


def find(root: Path) -> Session:
    """Return the emulated AWS that runs on a state folder; raises SessionError if there is none."""
    session = running(root)
    if session is None:
        raise SessionError(f"no rehearsal runs on {root}; `vectorfleet up` starts one")
    return session


def end(root: Path) -> list[str]:
    """End the emulated AWS of a state folder, and return the processes that are left, which should be none."""
    if process := processes.recorded(pid_file(root)):
        processes.stop(process, grace_seconds=STOP_SECONDS)
    return leftovers(root)


def leftovers(root: Path) -> list[str]:
    """Return the living processes of the rehearsal on `root`, but for this one and its parents."""
    return list(_marked(str(root.resolve())))


def _marked(root: str) -> Iterator[str]:
    # The kernel knows all processes; pid files may be lost.
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        # A process that ends during the look is not left.
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.pid not in own and _belongs(process, root):
                yield f"{process.pid} {' '.join(process.cmdline())[:120]}"


def _belongs(process: psutil.Process, root: str) -> bool:
    if process.status() == psutil.STATUS_ZOMBIE:
        return False
    environment = process.environ()
    return bool(environment.get(MARK) == root or environment.get(DATA, "").startswith(root + "/"))
