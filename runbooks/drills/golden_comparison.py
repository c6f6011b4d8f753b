"""The golden set before and after a drill: the same questions must find the same share of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbooks.verb_call import argv, call


class GoldenError(Exception):
    """The golden set could not be asked."""


@dataclass(frozen=True)
class GoldenComparison:
    """The golden set after recovery beside the baseline. `equal` is None if it could not be asked."""

    equal: bool | None
    sentence: str


def command(outputs: Path) -> list[str]:
    """Return the command that asks the golden set, without `--save FILE` or `--baseline FILE`."""
    return argv("golden", "--outputs", str(outputs.resolve()), "--json")


def record_baseline(verb: Sequence[str], folder: Path, environment: Mapping[str, str], into: Path) -> None:
    """Ask before the fault and keep the answers in `into`. Raises GoldenError."""
    answer = call([*verb, "--save", str(into.resolve())], folder=folder, environment=environment)
    if answer.exit_code != 0 or not into.exists():
        raise GoldenError(f"the golden set could not be asked before the fault: {answer.said}")


def compare(
    verb: Sequence[str], baseline: Path, folder: Path, environment: Mapping[str, str], into: Path
) -> GoldenComparison:
    """Ask after recovery and keep the printed JSON in `into`.

    Exit code 0 means equal to the baseline. Exit code 1 without JSON is a broken command, not a difference.
    """
    answer = call([*verb, "--baseline", str(baseline.resolve())], folder=folder, environment=environment)
    found, exit_code = answer.found, answer.exit_code
    if found is None or exit_code not in (0, 1):
        return GoldenComparison(None, f"The golden set could not be asked after recovery: {answer.said}.")
    into.write_text(json.dumps(found, indent=2), encoding="utf-8")
    relevance = found.get("relevance")
    reading = f"{relevance:.4f}" if isinstance(relevance, int | float) else "as recorded"
    relation = "equals" if exit_code == 0 else "differs from"
    return GoldenComparison(exit_code == 0, f"Golden relevance {reading} {relation} the baseline's.")
