"""The verdicts on a snapshot, stored beside it in S3: how far it was checked and when, or why it was refused."""

from __future__ import annotations

import logging
from typing import Literal, NamedTuple

import msgspec

from service.storage.builds import Build
from service.storage.objects import NoSuchKey, ObjectStore, PreconditionFailed, StoreError
from service.storage.snapshot import prefix_of

# In order: its keys exist; its manifest is whole; every byte was read and hashed; a node served from it and ran its
# canaries.
Level = Literal["listed", "manifest", "files", "served"]
PROVEN: tuple[Level, ...] = ("served", "files")
MOST_REFUSED = 100

log = logging.getLogger(__name__)


class Verdict(msgspec.Struct, frozen=True):
    """The `level` that a snapshot reached, or why it was `refused`, with the judge and the store's time."""

    level: Level
    at_ms: int
    by: str
    refused: str = ""


class RefusedSnapshot(NamedTuple):
    """A snapshot whose newest verdict refuses it."""

    shard: int
    name: str
    verdict: Verdict


def prove(store: ObjectStore, build: Build, shard: int, name: str, level: Level, by: str) -> None:
    """Record that a snapshot reached a level. Blocks; a store failure is only logged."""
    _keep(store, build, shard, name, Verdict(level, store.clock.now_ms(), by))


def refuse(store: ObjectStore, build: Build, shard: int, name: str, reason: str, by: str) -> None:
    """Record that a snapshot was refused, and why. Blocks; a store failure is only logged."""
    _keep(store, build, shard, name, Verdict("listed", store.clock.now_ms(), by, reason))


def newest(store: ObjectStore, build: Build, shard: int, name: str) -> Verdict | None:
    """Return the verdict that counts, or None.

    Proofs after the last refusal count, at their highest level and with the time of the last. Without any, the refusal
    counts.
    """
    found = _all(store, build, shard, name)
    refusal = next((one for one in found if one.refused), None)
    since = [one for one in found if not one.refused and (refusal is None or one.at_ms > refusal.at_ms)]
    if not since:
        return refusal
    last = max(since, key=lambda one: one.at_ms)
    return msgspec.structs.replace(last, level=since[0].level)


def refused(store: ObjectStore, build: Build) -> list[RefusedSnapshot]:
    """Return the build's existing snapshots that are refused; at most the first MOST_REFUSED refusals are read."""
    prefix = _refusals(build)
    found = []
    for key in list(store.keys(prefix))[:MOST_REFUSED]:
        folder, _, name = key.removeprefix(prefix).removesuffix(".json").partition("/")
        shard = int(folder.removeprefix("shard-"))
        if any(store.keys(f"{prefix_of(build.id, shard)}{name}/manifest.json")):
            verdict = newest(store, build, shard, name)
            if verdict is not None and verdict.refused:
                found.append(RefusedSnapshot(shard, name, verdict))
    return found


def _all(store: ObjectStore, build: Build, shard: int, name: str) -> list[Verdict]:
    """Return every verdict: the highest level first, a refusal last."""
    keys = [_proof(build, shard, name, level) for level in PROVEN] + [_refusal(build, shard, name)]
    return [found for key in keys if (found := _find(store, key)) is not None]


def _refusals(build: Build) -> str:
    return f"builds/{build.id}/refused/"


def _refusal(build: Build, shard: int, name: str) -> str:
    return f"{_refusals(build)}shard-{shard:02d}/{name}.json"


def _proof(build: Build, shard: int, name: str, level: Level) -> str:
    return f"builds/{build.id}/verified/shard-{shard:02d}/{name}/{level}.json"


def _keep(store: ObjectStore, build: Build, shard: int, name: str, verdict: Verdict) -> None:
    key = _refusal(build, shard, name) if verdict.refused else _proof(build, shard, name, verdict.level)
    try:
        # The store's clock has a resolution of one second, but a later verdict must have a later time.
        before = max((one.at_ms for one in _all(store, build, shard, name)), default=0)
        verdict = msgspec.structs.replace(verdict, at_ms=max(verdict.at_ms, before + 1))
        body = msgspec.json.encode(verdict)
        try:
            store.create(key, body)
        except PreconditionFailed:
            store.replace(key, body, store.get(key).etag)
    except StoreError as error:
        # Refused again: another process has just recorded a verdict of its own.
        log.warning("a snapshot's verdict could not be kept", extra={"reason": str(error)})


def _find(store: ObjectStore, key: str) -> Verdict | None:
    """Return the verdict at a key; an unreadable one counts as none."""
    try:
        return msgspec.json.decode(store.get(key).body, type=Verdict)
    except (NoSuchKey, msgspec.MsgspecError, UnicodeDecodeError):
        return None
