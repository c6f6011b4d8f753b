"""A shell for a page's commands, each in a process group of its own that ends at its deadline."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from infra.stack.outputs import Stack
from vectorfleet.options import OUTPUTS_VARIABLE, SLOT_VARIABLE

KILL_GRACE_SECONDS = 2.0
OUTPUT_LIMIT_CHARACTERS = 20_000
# A page's verbs run in this interpreter, whichever `python` or `vectorfleet` comes first on PATH.
# The script begins once its process group is on record: a runner that is killed before that leaves nothing running.
ONCE_RECORDED = "read -r _ || exit 1; exec </dev/null; "
VECTORFLEET = f'vectorfleet() {{ {shlex.quote(sys.executable)} -m vectorfleet "$@"; }}; '


@dataclass(frozen=True)
class CommandResult:
    """The result of a script: `exit_code` is None if the deadline ended it, `output` holds stdout and stderr."""

    exit_code: int | None
    output: str
    seconds: float


def _nobody(_pid: int) -> None:
    """Ignore the process group."""


@dataclass(frozen=True)
class Shell:
    """The folder and environment of commands. `started` gets each process group's id before its script begins."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    started: Callable[[int], None] = _nobody

    def run(self, script: str, deadline: float) -> CommandResult:
        """Run a script until `deadline` (monotonic seconds); the first failing line ends it (`sh -eu`)."""
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                ["sh", "-eu", "-c", ONCE_RECORDED + VECTORFLEET + script],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self.started(process.pid)
                with suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as go:
                    go.write(b"\n")
                exit_code = _wait(process, deadline)
            finally:
                end_group(process.pid)
                process.wait()
            output.seek(0)
            text = output.read().decode(errors="replace")
        return CommandResult(exit_code, text[-OUTPUT_LIMIT_CHARACTERS:], time.monotonic() - began)


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    try:
        return process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=KILL_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        signal_group(process.pid, signal.SIGKILL)
    return None


def end_group(group: int) -> None:
    """Kill the rest of a process group, so that a step leaves nothing running."""
    signal_group(group, signal.SIGKILL)


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a process group, if it still exists."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def start_ticks(pid: int) -> int | None:
    """Return the start of a process in kernel ticks since boot, or None if it does not exist.

    The start and the id name a process for good: the kernel reuses ids.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])


def page_environment(stack: Stack) -> dict[str, str]:
    """Return this process's environment, in which a page's commands find stack, slot and interpreter."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = {"PATH": path, OUTPUTS_VARIABLE: str(stack.outputs.resolve()), "AWS_REGION": stack.region}
    found[SLOT_VARIABLE] = stack.slot
    return {**os.environ, **found, **({"AWS_ENDPOINT_URL": stack.aws_endpoint} if stack.aws_endpoint else {})}
