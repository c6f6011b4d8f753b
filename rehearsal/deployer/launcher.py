"""Start of an apply as a subprocess, and the events that it reports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from rehearsal.deployer.errors import DeployError

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
LOG_FILE = "deploy.log"
DRAIN_SECONDS = 60.0


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step", tag_field="event"):
    """One finished resource. `expected` is the number of resources of the last apply, 0 for the first one."""

    verb: str
    type: str
    name: str
    id: str
    seconds: float
    done: int
    expected: int


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag="summary", tag_field="event"):
    """The result of a whole apply. `writes` counts the API calls that can change something, `reads` the others."""

    created: int = 0
    updated: int = 0
    replaced: int = 0
    deleted: int = 0
    retained: int = 0
    unchanged: int = 0
    reads: int = 0
    writes: int = 0
    seconds: float = 0.0
    outputs: dict[str, Any] = msgspec.field(default_factory=dict)


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure", tag_field="event"):
    """The reason why an apply ended early."""

    message: str


Event = Step | Summary | Failure
Progress = Callable[[Step], None]


def silent(_: Step) -> None:
    """Ignore the progress."""


def up(
    stack: str,
    root: Path,
    endpoint: str,
    progress: Progress = silent,
    *,
    project: Path = PACKAGE_ROOT,
    config: Mapping[str, str] = MappingProxyType({}),
) -> Summary:
    """Apply the stack's program to the emulated AWS at `endpoint`. A second call changes nothing.

    `project` is the folder of Pulumi.yaml, `root` the folder of the state; `config` goes over the stack file. Ctrl-C
    lets the creates under way finish. Raise DeployError with one sentence. The state has everything made so far, and
    the next `up` or `destroy` continues from there.
    """
    given = [word for key, value in config.items() for word in ("--config", f"{key}={value}")]
    return _apply(["up", "--stack", stack, "--project", str(project), *given], root, endpoint, progress)


def preview(
    stack: str, root: Path, endpoint: str, progress: Progress = silent, *, project: Path = PACKAGE_ROOT
) -> Summary:
    """Return the summary that `up` would return, without a call that changes anything."""
    return _apply(["preview", "--stack", stack, "--project", str(project)], root, endpoint, progress)


def destroy(root: Path, endpoint: str, progress: Progress = silent) -> Summary:
    """Delete everything in the state under `root`, and the state. Raise DeployError with one sentence."""
    return _apply(["destroy"], root, endpoint, progress)


def _apply(arguments: list[str], root: Path, endpoint: str, progress: Progress) -> Summary:
    log = root / "logs" / LOG_FILE
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]))
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "rehearsal.deployer.apply", *arguments, "--root", str(root), "--endpoint", endpoint],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            # Only the caller gets Ctrl-C. It then asks the apply to end in order.
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
        f"the apply ended with code {process.returncode} and gave no reason; read {log}. "
        "The state has everything made so far: run again"
    )


def _listen(process: subprocess.Popen[bytes], progress: Progress) -> Event | None:
    """Report the steps until the process ends, and return its last event."""
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
    """Interrupt the process, and kill it if the creates under way take longer than `DRAIN_SECONDS`."""
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
