"""An emulated AWS to work on, from outside: started, found again, and ended with nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rehearsal import processes
from rehearsal.emulator.launch import PROJECT
from rehearsal.leftovers import MARK
from rehearsal.supervisor import facts_file, pid_file

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
# What a run leaves for people stays, and so do the pid files by which left-over processes are found and ended; the
# rest belongs to an AWS that is gone.
KEPT = ("report", "pids", "load", "golden.json", "runbook.jsonl")
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
# A file on its way under its own name, which a kill may leave.
DRAFTS = (".tmp", ".draft")


class SessionError(Exception):
    """There is no emulated AWS, or it could not be started; the message says what to do."""


@dataclass(frozen=True)
class Session:
    """A running emulated AWS."""

    root: Path
    endpoint: str

    @property
    def outputs(self) -> Path:
        """The stack outputs of what is deployed on it."""
        return self.root / "outputs.json"

    def environment(self) -> dict[str, str]:
        """What a process needs to reach it as if it were AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "VECTORFLEET_OUTPUTS": str(self.outputs),
        }


def begin(root: Path, port: int, *, detached: bool) -> Session:
    """
    Start an emulated AWS in a cleaned state folder and wait until it is up.

    Detached it outlives the caller; otherwise the kernel ends it with the caller. Raises SessionError.
    """
    root = root.resolve()
    refuse(root, port)
    clean(root)
    (root / "logs").mkdir(parents=True, exist_ok=True)
    log_path = root / "logs" / "supervisor.log"
    argv = [sys.executable, "-m", "rehearsal", "emulate", "--port", str(port), "--root", str(root)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", MARK: str(root)}
    with log_path.open("ab") as log:
        if detached:
            child = subprocess.Popen(
                argv,
                env=environment,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        else:
            child = processes.spawn(argv, environment=environment, directory=PROJECT, log=log)
    return _await_facts(root, child, log_path)


def refuse(root: Path, port: int) -> None:
    """Raise SessionError where none can begin: one runs there, the folder is somebody else's, the port is taken."""
    _refuse_strange_folder(root)
    try:
        find(root)
    except SessionError:
        pass
    else:
        raise SessionError(f"a rehearsal already runs on {root}; `python -m rehearsal down` ends it")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SessionError(
                f"port {port} on 127.0.0.1 is in use; end what listens there, or choose another: "
                "--port N (make rehearse PORT=N)"
            ) from None


def _refuse_strange_folder(root: Path) -> None:
    """A folder that holds anything but a rehearsal's own files is never cleaned."""
    names = {path.name for path in root.iterdir() if path.suffix not in DRAFTS} if root.is_dir() else set()
    if strange := sorted(names - set(OWN) - set(KEPT)):
        raise SessionError(
            f"{root} is no state folder: it holds {', '.join(strange[:3])}. Name a new or empty folder with --root "
            "(make … ROOT=folder)"
        )


def clean(root: Path) -> None:
    """Remove what belongs to an AWS that is gone."""
    for name in OWN:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _await_facts(root: Path, child: subprocess.Popen[bytes], log_path: Path) -> Session:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and child.poll() is None:
        if facts_file(root).exists():
            return find(root)
        time.sleep(POLL_SECONDS)
    if child.poll() is None:
        child.terminate()
        child.wait(STOP_SECONDS)
    raise SessionError(f"the emulated AWS did not start: {_last_line(log_path)} (log: {log_path})")


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else "it said nothing"


def find(root: Path) -> Session:
    """The emulated AWS that runs on a state folder; raises SessionError when there is none."""
    process = processes.read_pid_file(pid_file(root))
    if process is None or not processes.alive(process) or not facts_file(root).exists():
        raise SessionError(f"no rehearsal runs on {root}; `python -m rehearsal up` starts one")
    return Session(root.resolve(), json.loads(facts_file(root).read_text())["endpoint"])


def end(root: Path) -> list[str]:
    """End the emulated AWS of a state folder; returns the processes that would not go, which should be none."""
    process = processes.read_pid_file(pid_file(root))
    if process is not None and processes.alive(process):
        processes.stop(process, grace_seconds=STOP_SECONDS)
    return [f"{left.name} ({left.pid})" for left in processes.living(root)]
