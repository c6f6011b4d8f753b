"""The verdicts on a snapshot, kept beside it in S3: how far it was checked and when, or why it was refused."""

from __future__ import annotations

import logging
from typing import Literal, NamedTuple

import msgspec

from service.storage.builds import Build
from service.storage.objects import Missing, ObjectStore, Refused, StoreError
from service.storage.snapshot import prefix_of

# In order: its keys are there; its manifest is whole; every byte was read and hashed; a node served from it and asked
# its canaries.
Level = Literal["listed", "manifest", "files", "served"]
PROVEN: tuple[Level, ...] = ("served", "files")
MOST_REFUSED = 100

log = logging.getLogger(__name__)


class Verdict(msgspec.Struct, frozen=True):
    """The `level` that a snapshot reached, or why it was `refused`, at a time by the store's clock and by whom."""

    level: Level
    at_ms: int
    by: str
    refused: str = ""


class Standing(NamedTuple):
    """A snapshot whose newest verdict refuses it."""

    shard: int
    name: str
    verdict: Verdict


def prove(store: ObjectStore, build: Build, shard: int, name: str, level: Level, by: str) -> None:
    """Keep that a snapshot reached a level. Blocks; a store that fails is only logged."""
    _keep(store, build, shard, name, Verdict(level, store.clock.now_ms(), by))


def refuse(store: ObjectStore, build: Build, shard: int, name: str, reason: str, by: str) -> None:
    """Keep that a snapshot was refused, and why. Blocks; a store that fails is only logged."""
    _keep(store, build, shard, name, Verdict("listed", store.clock.now_ms(), by, reason))


def newest(store: ObjectStore, build: Build, shard: int, name: str) -> Verdict | None:
    """
    The verdict that stands, None where there is none.

    What was proven after the last refusal counts, at its highest level and with the time of its last proof; where
    nothing was, the refusal does.
    """
    found = _all(store, build, shard, name)
    refusal = next((one for one in found if one.refused), None)
    since = [one for one in found if not one.refused and (refusal is None or one.at_ms > refusal.at_ms)]
    if not since:
        return refusal
    last = max(since, key=lambda one: one.at_ms)
    return msgspec.structs.replace(last, level=since[0].level)


def refused(store: ObjectStore, build: Build) -> list[Standing]:
    """The build's snapshots that are there and stand refused; of very many refusals the first MOST_REFUSED."""
    prefix = _refusals(build)
    found = []
    for key in list(store.keys(prefix))[:MOST_REFUSED]:
        folder, _, name = key.removeprefix(prefix).removesuffix(".json").partition("/")
        shard = int(folder.removeprefix("shard-"))
        if any(store.keys(f"{prefix_of(build.id, shard)}{name}/manifest.json")):
            verdict = newest(store, build, shard, name)
            if verdict is not None and verdict.refused:
                found.append(Standing(shard, name, verdict))
    return found


def _all(store: ObjectStore, build: Build, shard: int, name: str) -> list[Verdict]:
    """The highest level first, a refusal last."""
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
        # The store's clock is known to a second; a later verdict has a later time all the same.
        before = max((one.at_ms for one in _all(store, build, shard, name)), default=0)
        verdict = msgspec.structs.replace(verdict, at_ms=max(verdict.at_ms, before + 1))
        body = msgspec.json.encode(verdict)
        try:
            store.create(key, body)
        except Refused:
            store.replace(key, body, store.get(key).etag)
    except StoreError as error:
        # Refused again: somebody has just kept a verdict of his own.
        log.warning("a snapshot's verdict could not be kept", extra={"reason": str(error)})


def _find(store: ObjectStore, key: str) -> Verdict | None:
    """The verdict of a key; one that can't be read says nothing."""
    try:
        return msgspec.json.decode(store.get(key).body, type=Verdict)
    except (Missing, msgspec.MsgspecError, UnicodeDecodeError):
        return None
