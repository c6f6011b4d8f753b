"""An EC2 instance as a process group, booted from its user data and supervised like a systemd service.

Restart=always with RestartSec=1 and at most five starts in a minute; then the machine powers itself off, and its Auto
Scaling group replaces the stopped instance.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rehearsal.emulator import processes
from rehearsal.emulator.account import ACCESS_KEY, SECRET_KEY
from rehearsal.emulator.compute import artifacts
from rehearsal.emulator.compute.userdata import Manifest

RESTART_SECONDS = 1.0
START_LIMIT = 5
START_WINDOW_SECONDS = 60.0
_PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Site:
    """The state folder and the API's address, which all machines share."""

    root: Path
    endpoint: str

    @property
    def cache(self) -> Path:
        """Return the folder of unpacked artifacts, one for each digest."""
        return self.root / "cache"


@dataclass(frozen=True)
class Facts:
    """An instance's id, address and zone."""

    instance: str
    address: str
    zone: str


def environment(site: Site, facts: Facts, manifest: Manifest) -> dict[str, str]:
    """Return the manifest's environment plus the variables that the machine itself sets on AWS."""
    home = site.root / "instances" / facts.instance
    model = {"VECTORFLEET_MODEL_FOLDER": str(site.cache / manifest.model.sha256)} if manifest.model else {}
    return {
        **manifest.environment,
        **model,
        "AWS_ENDPOINT_URL": site.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "VECTORFLEET_HOST": facts.address,
        "VECTORFLEET_INSTANCE": facts.instance,
        "VECTORFLEET_ZONE": facts.zone,
        "VECTORFLEET_DATA": str(home / "disk"),
        "PATH": _PATH,
        "PYTHONPATH": str(home / "artifact"),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(home / "disk"),
        "LANG": "C.UTF-8",
    }


@dataclass
class Machine:
    """A booted instance. `state`: starting, running, restarting, stopping, stopped, exhausted or failed."""

    site: Site
    facts: Facts
    manifest: Manifest | None
    state: str = "starting"
    restarts: int = 0
    child: subprocess.Popen[bytes] | None = None
    process: processes.Process | None = None
    wake_at: float = 0.0
    kill_at: float = 0.0
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=START_LIMIT))

    @property
    def home(self) -> Path:
        """Return the instance's folder: its disk, and a link to the artifact."""
        return self.site.root / "instances" / self.facts.instance

    @property
    def log_path(self) -> Path:
        label = self.manifest.label if self.manifest else "unknown"
        return self.site.root / "logs" / f"{label}-{self.facts.instance}.log"

    @property
    def pid_path(self) -> Path:
        """Return the pid file by which a later run finds a left-over process."""
        return self.site.root / "pids" / f"{self.facts.instance}.pid"

    def say(self, message: str) -> None:
        """Write a line of the machine itself to its log."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self.log_path.open("a") as log:
            log.write(f"[compute {stamp}] {message}\n")

    def start(self, store: artifacts.ObjectStore) -> None:
        """Try to start the process; a failed start counts towards the start limit like a crash."""
        now = time.monotonic()
        if len(self.starts) == START_LIMIT and now - self.starts[0] < START_WINDOW_SECONDS:
            self.state = "exhausted"
            self.say(f"{START_LIMIT} starts in {START_WINDOW_SECONDS:g} s: the machine powers itself off")
            return
        self.starts.append(now)
        try:
            self._spawn(store)
            self.state = "running"
        except (artifacts.ArtifactRejectedError, OSError) as problem:
            self.say(f"start failed: {problem}")
            self._restart_later()

    def _spawn(self, store: artifacts.ObjectStore) -> None:
        assert self.manifest is not None
        folder = artifacts.unpacked(store, self.manifest.artifact, self.site.cache)
        if self.manifest.model is not None:
            artifacts.unpacked(store, self.manifest.model, self.site.cache)
        disk = self.home / "disk"
        disk.mkdir(parents=True, exist_ok=True)
        link = self.home / "artifact"
        if not link.exists():
            link.symlink_to(os.path.relpath(folder, self.home))
        self.say(f"starting {' '.join(self.manifest.argv)}")
        with self.log_path.open("ab") as log:
            variables: Mapping[str, str] = environment(self.site, self.facts, self.manifest)
            self.child = processes.spawn(self.manifest.argv, environment=variables, directory=disk, log=log)
        self.process = processes.identify(self.child.pid, self.manifest.label)
        if self.process:
            processes.write_pid_file(self.pid_path, self.process)

    def _restart_later(self) -> None:
        self.state = "restarting"
        self.wake_at = time.monotonic() + RESTART_SECONDS

    def _bury(self) -> None:
        """Forget an ended process, and kill the rest of its session."""
        if self.process:
            processes.kill_session(self.process)
        self.child = self.process = None
        self.pid_path.unlink(missing_ok=True)

    def stop(self, grace_seconds: float) -> None:
        """Send SIGTERM; `step` sends SIGKILL after the grace."""
        if self.state in ("stopping", "stopped"):
            return
        self.state = "stopping"
        self.kill_at = time.monotonic() + grace_seconds
        if self.process:
            processes.signal_group(self.process, signal.SIGTERM)

    def step(self, store: artifacts.ObjectStore) -> None:
        """Notice an exit, and restart or kill when due, without waiting for the process."""
        code = self.child.poll() if self.child else None
        now = time.monotonic()
        if self.state == "running" and code is not None:
            self._bury()
            self.restarts += 1
            self.say(f"the process ended with {_meaning(code)}; next start in {RESTART_SECONDS:g} s")
            self._restart_later()
        elif self.state == "restarting" and now >= self.wake_at:
            self.start(store)
        elif self.state == "stopping" and (self.child is None or code is not None or now >= self.kill_at):
            self._bury()
            self.state = "stopped"

    def erase(self) -> None:
        """Delete the disk and the artifact link of a terminated instance."""
        artifacts.discard(self.home)

    def row(self) -> dict[str, Any]:
        """Return the machine's entry in compute.json."""
        variables = self.manifest.environment if self.manifest else {}
        return {
            "instance": self.facts.instance,
            "role": self.manifest.role if self.manifest else None,
            "slot": variables.get("VECTORFLEET_SLOT"),
            "shard": variables.get("VECTORFLEET_SHARD"),
            "replica": variables.get("VECTORFLEET_REPLICA"),
            "address": self.facts.address,
            "zone": self.facts.zone,
            "state": self.state,
            "pid": self.process.pid if self.process else None,
            "restarts": self.restarts,
            "log": str(self.log_path),
        }


def _meaning(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
