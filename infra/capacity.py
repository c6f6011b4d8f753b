"""The capacity file: what load tests measured one replica and one router to carry, for the plan to read."""

from __future__ import annotations

import json
from pathlib import Path

from infra.config import ConfigError

KEYS = ("capacityPerReplica", "capacityPerRouter")


def read_capacity(path: Path) -> dict[str, str]:
    """
    The configuration values that a capacity file holds: one JSON object with either or both of KEYS, each as the
    stack's configuration has it. What stands beside them says where the figures come from and is left alone.

    Raises ConfigError for a file that can't be read or holds neither; the values are checked with the others.
    """
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"The capacity file {path} can't be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"The capacity file {path} is no JSON: {error}.") from None
    values = {key: json.dumps(found[key]) for key in KEYS if key in found} if isinstance(found, dict) else {}
    if not values:
        raise ConfigError(f"The capacity file {path} holds neither of {' and '.join(KEYS)}; write either or both.")
    return values
