"""A slot points at one build, made once, and says what differs when the configuration does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from service.storage.builds import OtherRecipe, Recipe, Slots
from service.storage.entry import Damaged
from service.storage.objects import Stored, Unanswered
from tests.service.memory_store import MemoryStore
from tests.service.small_space import recipe


def test_a_new_slot_gets_a_build_and_keeps_it() -> None:
    store = MemoryStore()
    assert Slots(store).find("blue") is None
    build = Slots(store).claim("blue", recipe())
    assert Slots(store).claim("blue", recipe()) == Slots(store).find("blue") == build
    assert Slots(store).claim("green", recipe()).id != build.id


def test_of_many_claims_at_once_one_makes_the_build() -> None:
    store = MemoryStore()
    with ThreadPoolExecutor(8) as pool:
        builds = set(pool.map(lambda _: Slots(store).claim("blue", recipe()).id, range(8)))
    assert len(builds) == 1


def test_a_claim_whose_reply_is_lost_finds_what_it_wrote() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "lost_reply"
    assert Slots(store).claim("blue", recipe()) == Slots(store).find("blue")
    assert len(store.writes) == 1


def test_a_store_that_never_answers_is_given_up_with_a_sentence() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "unavailable"
    with pytest.raises(Unanswered, match="slot blue: its pointer could not be read or written 5 times"):
        Slots(store).claim("blue", recipe())


def test_another_recipe_is_refused_with_what_differs_and_what_to_do() -> None:
    store = MemoryStore()
    build = Slots(store).claim("blue", recipe(shards=2, size=20))
    with pytest.raises(OtherRecipe) as refused:
        Slots(store).claim("blue", recipe(shards=3, size=40))
    assert str(refused.value) == (
        f"slot blue serves build {build.id}, but the configuration differs: "
        "chunking {'size': 20, 'overlap': 0} → {'size': 40, 'overlap': 0}, shards 2 → 3. "
        "A build never changes: index into the other slot and switch, or take the change back."
    )


@pytest.mark.parametrize("body", [b"", b"{", b'{"id": 5}', b"\xff\xfe"])
def test_a_damaged_pointer_is_refused_by_name(body: bytes) -> None:
    store = MemoryStore()
    store.objects["slots/blue.json"] = body
    with pytest.raises(Damaged, match="slot pointer blue"):
        Slots(store).find("blue")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("embedding", {"model": "words", "version": "2", "dims": 8}),
        ("chunking", {"size": 20, "overlap": 1}),
        ("index", {"type": "hnsw", "metric": "cosine", "m": 9, "ef_construction": 50, "ef_search": 50}),
        ("shards", 3),
        ("fingerprint", "sentences-2 words-1"),
    ],
)
def test_any_part_of_a_recipe_makes_it_another_one(part: str, value: object) -> None:
    store = MemoryStore()
    Slots(store).claim("blue", recipe())
    other = msgspec.convert(msgspec.to_builtins(recipe()) | {part: value}, Recipe)
    with pytest.raises(OtherRecipe, match=f"differs: {part} "):
        Slots(store).claim("blue", other)


def test_a_store_that_can_t_be_read_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    build = Slots(store).claim("blue", recipe())
    failures = iter([Unanswered("get: 503"), Unanswered("get: 503")])
    get = store.get

    def unwell(key: str) -> Stored:
        if (failure := next(failures, None)) is not None:
            raise failure
        return get(key)

    monkeypatch.setattr(store, "get", unwell)
    assert Slots(store).claim("blue", recipe()) == build
