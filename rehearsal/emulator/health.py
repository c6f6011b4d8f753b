"""Target health as the balancer publishes it, kept for DescribeTargetHealth and for group health checks."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from rehearsal.emulator.answers import changed

STATES = ("initial", "healthy", "unhealthy", "draining", "unused", "unavailable")


@dataclass(frozen=True)
class TargetHealth:
    """One probe result, in the words of DescribeTargetHealth."""

    state: str
    reason: str | None = None
    description: str | None = None


_lock = threading.Lock()
_published: dict[tuple[str, str], TargetHealth] = {}


def publish(entries: list[dict[str, Any]]) -> None:
    """Replace all results. Each entry: target_group (ARN), id, state, and optionally reason and description.

    Raises ValueError, naming the entry, when one is malformed; nothing is replaced then.
    """
    fresh: dict[tuple[str, str], TargetHealth] = {}
    for entry in entries:
        missing = {"target_group", "id", "state"} - set(entry)
        if missing or entry["state"] not in STATES:
            raise ValueError(f"{entry}: needs target_group, id and a state out of {', '.join(STATES)}.")
        health = TargetHealth(entry["state"], entry.get("reason"), entry.get("description"))
        fresh[entry["target_group"], entry["id"]] = health
    global _published
    with _lock:
        if _published != fresh:
            _published = fresh
            changed()


def published(target_group: str, target: str) -> TargetHealth | None:
    """The last result for a target, None when it was never probed."""
    return _published.get((target_group, target))


def published_state(target_group: str, target: str) -> str | None:
    """Only the state word of `published`."""
    health = published(target_group, target)
    return health.state if health else None
