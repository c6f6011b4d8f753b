"""A store that ignores conditions is refused. One that only fails is not accused."""

from __future__ import annotations

import pytest

from service.storage.conformance import NotConforming, check
from service.storage.objects import ObjectStore, Unanswered
from tests.service.memory_store import MemoryStore


class IgnoresIfNoneMatch(MemoryStore):
    """Every creator wins."""

    def create(self, key: str, body: bytes) -> str:
        self.objects.pop(key, None)
        return super().create(key, body)


class IgnoresIfMatch(MemoryStore):
    """Every etag is accepted."""

    def replace(self, key: str, body: bytes, etag: str) -> str:
        return super().replace(key, body, self.get(key).etag)


def test_a_store_that_enforces_conditions_passes() -> None:
    store = MemoryStore()
    check(store)
    assert store.objects == {}


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        (
            IgnoresIfNoneMatch("logs"),
            "bucket logs: 2 of 2 creators of one key were told that they won; "
            "writes need a store that enforces If-None-Match",
        ),
        (
            IgnoresIfMatch("slots"),
            "bucket slots: a stale etag was accepted; slots need a store that enforces If-Match",
        ),
    ],
)
def test_a_store_that_ignores_a_condition_is_refused(store: ObjectStore, sentence: str) -> None:
    with pytest.raises(NotConforming) as refused:
        check(store)
    assert str(refused.value) == sentence


def test_a_creator_that_meets_a_conflict_has_lost() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "conflict" if number == 1 else ""
    check(store)


def test_a_store_that_never_answers_is_not_accused() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "unavailable"
    with pytest.raises(Unanswered, match="bucket memory: none of 2 creators"):
        check(store)
