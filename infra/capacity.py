"""The capacity file: what load tests measured one replica and one router to carry, for the plan to read."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from infra.config import ConfigError
from infra.consistency import MOST_VCPUS, RATE_ALLOWED, is_capacity
from infra.sections import Capacity

SHOWN = 100  # characters of what was given
KEYS = ("capacityPerReplica", "capacityPerRouter")
ALLOWED = f"queriesPerSecond, {RATE_ALLOWED}, and vcpus, a whole number of vCPUs from 1 to {MOST_VCPUS}"


def read_capacity(path: Path) -> dict[str, str]:
    """
    The configuration values that a capacity file holds: one JSON object with either or both of KEYS, each as the
    stack's configuration has it. What stands beside them says where the figures come from and is left alone.

    Raises ConfigError for a file that can't be read, holds neither, or says what no process carries.
    """
    found = _content(path)
    values = {key: found[key] for key in KEYS if key in found} if isinstance(found, dict) else {}
    if not values:
        raise ConfigError(f"The capacity file {path} holds neither of {' and '.join(KEYS)}; write either or both.")
    for key, value in values.items():
        _check(path, key, value)
    return {key: json.dumps(value) for key, value in values.items()}


def _content(path: Path) -> object:
    try:
        # Editors of Windows begin a file with a byte order mark.
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"The capacity file {path} can't be read: {error.strerror}.") from None
    except RecursionError:
        raise ConfigError(f"The capacity file {path} is nested too deeply; write one object.") from None
    except ValueError as error:
        raise ConfigError(f"The capacity file {path} is not valid JSON: {error}. Correct the file.") from None


def _check(path: Path, key: str, value: object) -> None:
    """Here and not with the rest of the configuration, whose sentences are about the stack's file."""
    parts = value if isinstance(value, dict) else {}
    wrong = {name: part for name, part in parts.items() if isinstance(part, bool)}
    try:
        if not wrong and is_capacity(Capacity.model_validate(value)):
            return
    except ValidationError as error:
        places = [str(one["loc"][0]) for one in error.errors() if one["loc"]]
        wrong = {name: parts[name] for name in places if name in parts}
    wrong = wrong or parts
    given = ", ".join(f"{key}.{name} is {_shown(part)}" for name, part in wrong.items()) or f"{key} is {_shown(value)}"
    raise ConfigError(f"In the capacity file {path} {given}; allowed: {ALLOWED}. Correct the file, or measure again.")


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
