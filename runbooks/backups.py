"""The snapshots of a fleet as its API lists them: which there are, how far each was verified, what no snapshot has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from runbooks.fleet import FleetError
from service.client import ServiceError, Unanswered

T = TypeVar("T")
POLL_SECONDS = 0.5
FIELDS = ("refused", "lacking")


class HasSnapshots(Protocol):
    """The part of a client that is needed."""

    def snapshots(self, limit: int = ...) -> Mapping[str, Any]: ...

    def take_snapshots(self, min_position: int | None = ...) -> Mapping[str, Any]: ...

    def verify_snapshots(self, limit: int = ...) -> Mapping[str, Any]: ...

    def status(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Backup:
    """One snapshot of one shard. `level` was reached at `verified_ms`; `refused` says why it is not to be used."""

    shard: int
    name: str
    position: int
    created_ms: int
    size_bytes: int
    rows: int
    level: str
    verified_ms: int
    verified_by: str
    refused: str

    def verified_since(self, before: Backup) -> bool:
        """Say whether there is a verdict that was not there before."""
        return bool(self.refused and not self.verified_by) or (
            bool(self.verified_by) and (not before.verified_by or self.verified_ms > before.verified_ms)
        )


@dataclass(frozen=True)
class Backups:
    """The newest snapshots of each shard, and how many writes each shard has that no replica's snapshot has."""

    build: str
    newest: tuple[Backup, ...]
    lacking: Mapping[int, int]

    @property
    def refused(self) -> list[Backup]:
        """Snapshots that are not to be used."""
        return [one for one in self.newest if one.refused]

    def reach(self, positions: Mapping[int, int]) -> bool:
        """Say whether each shard has a snapshot that may be used, at its position at least."""
        good = [one for one in self.newest if not one.refused]
        return all(any(one.shard == shard and one.position >= at for one in good) for shard, at in positions.items())

    def field(self, name: str) -> str:
        """One value as a page compares it."""
        if name == "refused":
            return " ".join(one.name for one in self.refused) or "none"
        return str(sum(self.lacking.values()))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def see_backups(client: HasSnapshots, limit: int) -> Backups:
    """Ask the fleet; raises FleetError with what came back instead of an answer."""
    listed, status = _asked(lambda: client.snapshots(limit)), _asked(client.status)
    return Backups(str(listed["build"]), _newest(listed), _lacking(status))


def take(client: HasSnapshots, limit: int, within_seconds: float) -> Backups | None:
    """Have every shard make a snapshot, and wait until they are there; None when time is up."""
    asked = _asked(client.take_snapshots)
    positions = {int(one["shard"]): int(one["position"]) for one in asked["shards"]}
    return _awaited(client, limit, within_seconds, lambda found: found.reach(positions))


def verify(client: HasSnapshots, limit: int, within_seconds: float) -> Backups | None:
    """Have every byte of the newest snapshots read, and wait for the verdicts; None when time is up."""
    before = {(one.shard, one.name): one for one in _newest(_asked(lambda: client.verify_snapshots(limit)))}

    def done(found: Backups) -> bool:
        after = {(one.shard, one.name): one for one in found.newest}
        # One that is listed no more has been followed by so many newer ones.
        return all(key not in after or after[key].verified_since(one) for key, one in before.items())

    return _awaited(client, limit, within_seconds, done)


def _awaited(
    client: HasSnapshots, limit: int, within_seconds: float, done: Callable[[Backups], bool]
) -> Backups | None:
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            if done(found := see_backups(client, limit)):
                return found
        except FleetError:
            if time.monotonic() >= deadline:
                raise
        pause_seconds = min(POLL_SECONDS, deadline - time.monotonic())
        if pause_seconds <= 0:
            return None
        time.sleep(pause_seconds)


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (ServiceError, Unanswered) as error:
        raise FleetError(f"the fleet does not answer: {error}") from error


def _newest(listed: Mapping[str, Any]) -> tuple[Backup, ...]:
    return tuple(
        Backup(
            shard=int(shard["shard"]),
            name=str(one["name"]),
            # A router of an earlier version says nothing of levels.
            level=str(one.get("level", "manifest")),
            verified_by=str(one.get("verified_by", "")),
            refused=str(one["refused"]),
            **{name: int(one.get(name, 0)) for name in ("position", "created_ms", "size_bytes", "rows", "verified_ms")},
        )
        for shard in listed["shards"]
        for one in shard["newest"]
    )


def _lacking(status: Mapping[str, Any]) -> dict[int, int]:
    """Of each shard the fewest writes that a ready replica's snapshot lacks."""
    return {
        int(shard["shard"]): min(counts)
        for shard in status["shards"]
        if (counts := [int(one.get("unprotected", 0)) for one in shard["replicas"] if one["ready"]])
    }
