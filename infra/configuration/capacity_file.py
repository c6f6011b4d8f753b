"""The capacity file: the measured capacity of one replica and one router, as a load test writes it for the plan."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from infra.configuration.consistency import RATE_ALLOWED, VCPUS_ALLOWED, is_capacity
from infra.configuration.settings_sections import Capacity
from infra.configuration.stack_settings import ConfigError

SHOWN = 100  # characters of the given value
KEYS = ("capacityPerReplica", "capacityPerRouter")
ALLOWED = f"queriesPerSecond, {RATE_ALLOWED}, and vcpus, {VCPUS_ALLOWED}"


def read_capacity(path: Path) -> dict[str, str]:
    """
    Return the configuration values in a JSON object with either or both of KEYS. Other keys are notes and ignored.

    Raises ConfigError for a file that cannot be read, has neither key, or has a value that no process carries.
    """
    found = _content(path)
    values = {key: found[key] for key in KEYS if key in found} if isinstance(found, dict) else {}
    if not values:
        raise ConfigError(f"The capacity file {path} has neither {' nor '.join(KEYS)}; write one or both.")
    for key, value in values.items():
        _check(path, key, value)
    return {key: json.dumps(value) for key, value in values.items()}


def _content(path: Path) -> object:
    try:
        # Editors on Windows write a byte order mark first.
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"The capacity file {path} cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise ConfigError(f"The capacity file {path} is nested too deeply; write one object.") from None
    except ValueError as error:
        raise ConfigError(f"The capacity file {path} is not valid JSON: {error}. Correct the file.") from None


def _check(path: Path, key: str, value: object) -> None:
    # The sentences of settings_from name the stack's file.
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
