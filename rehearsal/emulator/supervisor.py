"""The emulated AWS as one process tree: API, machines and load balancers, started and ended together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rehearsal.emulator import processes
from rehearsal.emulator.launch import spawn_module, start

POLL_SECONDS = 0.1
# compute ends every instance before itself: SIGTERM, two seconds, SIGKILL.
STOP_SECONDS = 15.0


class SupervisorError(Exception):
    """Another supervisor runs on the folder, or a part ended; the message names it."""


def pid_file(root: Path) -> Path:
    """Return the file in which the supervisor of a state folder records itself."""
    return root / "supervisor.pid"


def facts_file(root: Path) -> Path:
    """Return the file that exists while everything is up, with the port and the pids."""
    return root / "emulator.json"


class Supervisor:
    """A process that starts the parts in order, waits for a signal or the end of a part, and ends all."""

    def __init__(self, root: Path, port: int) -> None:
        self._root = root.resolve()
        self._port = port
        self._endpoint = f"http://127.0.0.1:{port}"
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._signals: list[int] = []

    def run(self, announce: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT. Raises SupervisorError or EmulatorFailedError."""
        self._refuse_second()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)
        try:
            self._start()
            announce(self._endpoint)
            self._wait()
        finally:
            self._stop()

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)

    def _refuse_second(self) -> None:
        if running := processes.recorded(pid_file(self._root)):
            raise SupervisorError(
                f"an emulated AWS already runs on {self._root} (process {running.pid}); "
                "`vectorfleet down` ends it, --root names another folder"
            )
        own = processes.identify(os.getpid(), "supervisor")
        assert own is not None
        processes.write_pid_file(pid_file(self._root), own)

    def _start(self) -> None:
        facts_file(self._root).unlink(missing_ok=True)
        self._parts["emulator"] = start(self._port, self._root)
        self._spawn("compute", "--endpoint", self._endpoint, "--root", str(self._root))
        self._spawn("balancer", "--endpoint", self._endpoint)
        pids = {name: child.pid for name, child in self._parts.items()}
        facts = {"port": self._port, "endpoint": self._endpoint, "pids": pids | {"supervisor": os.getpid()}}
        draft = facts_file(self._root).with_suffix(".tmp")
        draft.write_text(json.dumps(facts))
        draft.replace(facts_file(self._root))

    def _spawn(self, name: str, *arguments: str) -> None:
        self._parts[name] = spawn_module(f"rehearsal.emulator.{name}", *arguments, log_path=self._log(name))

    def _log(self, name: str) -> Path:
        return self._root / "logs" / f"{name}.log"

    def _wait(self) -> None:
        while not self._signals:
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
