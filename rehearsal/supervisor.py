"""The emulated AWS as one process tree: the API, the machines and the load balancers, started and ended together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rehearsal import processes
from rehearsal.emulator.launch import PROJECT, EmulatorFailedError, start

POLL_SECONDS = 0.1
# compute ends every instance before it goes: SIGTERM, two seconds, SIGKILL.
STOP_SECONDS = 15.0


class SupervisorError(Exception):
    """The emulated AWS can't start or has lost a part; the message says which and where its log is."""


def pid_file(root: Path) -> Path:
    """Where the supervisor of a state folder records itself."""
    return root / "supervisor.pid"


def facts_file(root: Path) -> Path:
    """Where the supervisor says that everything is up, and on which port."""
    return root / "emulator.json"


class Supervisor:
    """Starts the parts in order, waits until told to end or a part dies, and ends them in reverse."""

    def __init__(self, root: Path, port: int) -> None:
        self._root = root.resolve()
        self._port = port
        self._endpoint = f"http://127.0.0.1:{port}"
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._told: list[int] = []

    def run(self, announce: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT. Raises SupervisorError."""
        self._refuse_second()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)
        try:
            self._start()
            announce(self._endpoint)
            self._wait()
        finally:
            self._stop()

    def _tell(self, number: int, _: FrameType | None) -> None:
        self._told.append(number)

    def _refuse_second(self) -> None:
        running = processes.read_pid_file(pid_file(self._root))
        if running and processes.alive(running):
            raise SupervisorError(
                f"an emulated AWS already runs on {self._root} (process {running.pid}); "
                "`python -m rehearsal down` ends it, --root names another folder"
            )
        own = processes.identify(os.getpid(), "supervisor")
        assert own is not None
        processes.write_pid_file(pid_file(self._root), own)

    def _start(self) -> None:
        facts_file(self._root).unlink(missing_ok=True)
        try:
            self._parts["emulator"] = start(self._port, self._root)
        except EmulatorFailedError as error:
            raise SupervisorError(str(error)) from None
        self._spawn("compute", "--endpoint", self._endpoint, "--root", str(self._root))
        self._spawn("balancer", "--endpoint", self._endpoint)
        pids = {name: child.pid for name, child in self._parts.items()}
        facts = {"port": self._port, "endpoint": self._endpoint, "pids": pids | {"supervisor": os.getpid()}}
        draft = facts_file(self._root).with_suffix(".tmp")
        draft.write_text(json.dumps(facts))
        draft.replace(facts_file(self._root))

    def _spawn(self, name: str, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
        with self._log(name).open("ab") as log:
            argv = [sys.executable, "-m", f"rehearsal.{name}", *arguments]
            self._parts[name] = processes.spawn(argv, environment=environment, directory=PROJECT, log=log)

    def _log(self, name: str) -> Path:
        return self._root / "logs" / f"{name}.log"

    def _wait(self) -> None:
        while not self._told:
            for name, child in self._parts.items():
                if (code := child.poll()) is not None:
                    raise SupervisorError(f"{name} ended with exit code {code}; see {self._log(name)}")
            time.sleep(POLL_SECONDS)

    def _stop(self) -> None:
        # A second Ctrl-C must not leave half of them running.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for name in ("compute", "balancer", "emulator"):
            child = self._parts.get(name)
            if child is None:
                continue
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        facts_file(self._root).unlink(missing_ok=True)
        pid_file(self._root).unlink(missing_ok=True)
