"""The check that a store enforces conditional writes. A store that ignores them loses writes silently."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from service.storage.objects import ObjectStore, PreconditionFailed, StoreError, Unanswered

CREATORS = 2


class NotConforming(StoreError):
    """A write was accepted although its condition did not hold."""


def check(store: ObjectStore) -> None:
    """Prove on throw-away keys that one of two creators wins, and that a stale etag is refused.

    Raise NotConforming with the bucket and what it did, or Unanswered if nothing could be proven.
    """
    key = f"conformance/{uuid.uuid4().hex}"
    try:
        _one_creator_wins(store, key)
        _stale_etag_is_refused(store, key)
    finally:
        store.delete(key)


def _one_creator_wins(store: ObjectStore, key: str) -> None:
    def won(creator: int) -> bool | None:
        try:
            store.create(key, b"creator %d" % creator)
        except PreconditionFailed:
            return False
        except Unanswered:
            return None
        return True

    with ThreadPoolExecutor(CREATORS) as pool:
        outcomes = list(pool.map(won, range(CREATORS)))
    winners = outcomes.count(True)
    if winners == 0 and None in outcomes:
        raise Unanswered(f"bucket {store.bucket}: none of {CREATORS} creators of one key got an answer; try again")
    if winners != 1:
        raise NotConforming(
            f"bucket {store.bucket}: {winners} of {CREATORS} creators of one key were told that they won; "
            "writes need a store that enforces If-None-Match"
        )


def _stale_etag_is_refused(store: ObjectStore, key: str) -> None:
    stale = store.get(key).etag
    store.replace(key, b"second", stale)
    try:
        store.replace(key, b"third", stale)
    except PreconditionFailed:
        return
    raise NotConforming(f"bucket {store.bucket}: a stale etag was accepted; slots need a store that enforces If-Match")
