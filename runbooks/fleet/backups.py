"""The snapshots of a fleet as its API lists them: their verification, and the writes that no snapshot has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from runbooks.fleet.status import FleetError, answered, from_known
from service.client import Client, ServiceError
from vectorfleet.waiting import until

POLL_SECONDS = 0.5
FIELDS = ("refused", "lacking")


@dataclass(frozen=True)
class Backup:
    """One snapshot of a shard. `level` was reached at `verified_ms`; `refused` says why it must not be used."""

    shard: int
    name: str
    position: int = 0
    created_ms: int = 0
    size_bytes: int = 0
    rows: int = 0
    level: str = "manifest"  # routers of an earlier version report none
    verified_ms: int = 0
    verified_by: str = ""
    refused: str = ""

    def verified_since(self, before: Backup) -> bool:
        """Return whether it has a verdict that `before` had not."""
        return bool(self.refused and not self.verified_by) or (
            bool(self.verified_by) and (not before.verified_by or self.verified_ms > before.verified_ms)
        )


@dataclass(frozen=True)
class Backups:
    """The newest snapshots of each shard, and `lacking`: writes of each shard that are in no replica's snapshot."""

    build: str
    newest: tuple[Backup, ...]
    lacking: Mapping[int, int]

    @property
    def refused(self) -> list[Backup]:
        """Snapshots that must not be used."""
        return [one for one in self.newest if one.refused]

    def reach(self, positions: Mapping[int, int]) -> bool:
        """Return whether each shard has a usable snapshot at its position or later."""
        good = [one for one in self.newest if not one.refused]
        return all(any(one.shard == shard and one.position >= at for one in good) for shard, at in positions.items())

    def field(self, name: str) -> str:
        """Return one value of FIELDS as a page compares it."""
        if name == "refused":
            return " ".join(one.name for one in self.refused) or "none"
        return str(sum(self.lacking.values()))


def see_backups(client: Client, limit: int) -> Backups:
    """List the snapshots. Raises FleetError with what came back instead of an answer."""
    listed, status = answered(lambda: client.snapshots(limit)), answered(client.status)
    return Backups(str(listed["build"]), _newest(listed), _lacking(status))


def take(client: Client, limit: int, within_seconds: float) -> Backups | None:
    """Make a snapshot of every shard and wait until they are listed; return None when the time is up.

    A shard whose replicas all change their generation takes no order, so it gets the order again. Raises FleetError.
    """
    started = time.monotonic()
    ordered = until(lambda: _ordered(client), within_seconds, POLL_SECONDS) or answered(client.take_snapshots)
    positions = {int(one["shard"]): int(one["position"]) for one in ordered["shards"]}
    left = within_seconds - (time.monotonic() - started)
    return _awaited(client, limit, left, lambda found: found.reach(positions))


def _ordered(client: Client) -> dict[str, Any] | None:
    """Order snapshots; return None if a shard takes no order now. Raises FleetError."""

    def order() -> dict[str, Any] | None:
        try:
            return client.take_snapshots()
        except ServiceError as error:
            if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                return None
            raise

    return answered(order)


def verify(client: Client, limit: int, within_seconds: float) -> Backups | None:
    """Verify every byte of the newest snapshots and wait for the verdicts; return None when the time is up."""
    before = {(one.shard, one.name): one for one in _newest(answered(lambda: client.verify_snapshots(limit)))}

    def done(found: Backups) -> bool:
        after = {(one.shard, one.name): one for one in found.newest}
        # A snapshot that is no longer listed has newer ones in its place.
        return all(key not in after or after[key].verified_since(one) for key, one in before.items())

    return _awaited(client, limit, within_seconds, done)


def _awaited(client: Client, limit: int, within_seconds: float, done: Callable[[Backups], bool]) -> Backups | None:
    """Look until `done`. Raises the FleetError of the last look, if that is how it ended."""
    silence: FleetError | None = None

    def look() -> Backups | None:
        nonlocal silence
        try:
            found, silence = see_backups(client, limit), None
        except FleetError as error:
            silence = error
            return None
        return found if done(found) else None

    found = until(look, within_seconds, POLL_SECONDS)
    if silence is not None:
        raise silence
    return found


def _newest(listed: Mapping[str, Any]) -> tuple[Backup, ...]:
    return tuple(
        from_known(Backup, one, shard=int(shard["shard"])) for shard in listed["shards"] for one in shard["newest"]
    )


def _lacking(status: Mapping[str, Any]) -> dict[int, int]:
    """Return for each shard the smallest number of writes that a ready replica's snapshot lacks."""
    return {
        int(shard["shard"]): min(counts)
        for shard in status["shards"]
        if (counts := [int(one.get("unprotected", 0)) for one in shard["replicas"] if one["ready"]])
    }
