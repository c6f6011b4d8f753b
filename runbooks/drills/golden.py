"""The golden set before and after: the same questions must find the same share of answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runbooks.drills.judge import Golden

TIMEOUT_SECONDS = 300.0


class GoldenError(Exception):
    """The golden set could not be asked."""


def command(outputs: Path) -> list[str]:
    """The command that asks the golden set; the drill adds `--save FILE` before and `--baseline FILE` after."""
    return [sys.executable, "-m", "loadtests", "golden", "--outputs", str(outputs.resolve()), "--json"]


def record_baseline(call: Sequence[str], folder: Path, environment: Mapping[str, str], into: Path) -> None:
    """Ask while all is well and keep the answers in `into`. Raises GoldenError."""
    exit_code, _found, said = _ask([*call, "--save", str(into.resolve())], folder, environment)
    if exit_code != 0 or not into.exists():
        raise GoldenError(f"the golden set could not be asked before the fault: {said}")


def compare(call: Sequence[str], baseline: Path, folder: Path, environment: Mapping[str, str], into: Path) -> Golden:
    """Ask after recovery and keep what was printed in `into`; exit 0 means equal to the baseline.

    Exit code 1 without an answer in JSON is a broken command, not a finding.
    """
    exit_code, found, said = _ask([*call, "--baseline", str(baseline.resolve())], folder, environment)
    if found is None or exit_code not in (0, 1):
        return Golden(None, f"The golden set could not be asked after recovery: {said}.")
    into.write_text(json.dumps(found, indent=2), encoding="utf-8")
    relevance = found.get("relevance")
    reading = f"{relevance:.4f}" if isinstance(relevance, int | float) else "as recorded"
    if exit_code == 0:
        return Golden(True, f"Golden relevance {reading} equals the baseline's.")
    return Golden(False, f"Golden relevance {reading} differs from the baseline's.")


def _ask(call: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, dict[str, Any] | None, str]:
    try:
        ran = subprocess.run(
            list(call),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return -1, None, str(error)
    last = (ran.stderr or ran.stdout).strip().splitlines()[-1:] or ["it said nothing"]
    return ran.returncode, _object(ran.stdout), f"exit code {ran.returncode}, {last[0]}"


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
