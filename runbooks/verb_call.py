"""A call of another verb that prints JSON, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbooks.jsonlines import json_object

TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class VerbAnswer:
    """The end of a call. `found` is None if no JSON object was printed; `said` ends a sentence about the failure."""

    exit_code: int
    found: dict[str, Any] | None
    said: str


def argv(*arguments: str) -> list[str]:
    """Return the command line of a verb of this installation."""
    return [sys.executable, "-m", "vectorfleet", *arguments]


def call(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> VerbAnswer:
    """Run a command to its end. A command that can't run, or is too slow, has exit code -1."""
    try:
        ran = subprocess.run(
            list(command),
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return VerbAnswer(-1, None, str(error))
    lines = (ran.stderr or ran.stdout).strip().splitlines() or ["it printed nothing"]
    return VerbAnswer(ran.returncode, json_object(ran.stdout), f"exit code {ran.returncode}, {lines[-1].rstrip('.')}")
