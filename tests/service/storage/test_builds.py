"""A slot points at one build, made once. A configuration that it can't adopt is refused with the differences."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from infra.facts.index_parameters import SEARCHED_BY
from service.storage.builds import Build, IndexParameters, Recipe, Slots, family, judge
from service.storage.entry import Damaged
from service.storage.objects import StoredObject, Unanswered
from tests.service.memory_store import MemoryStore
from tests.service.small_space import recipe


def test_a_new_slot_gets_a_build_and_keeps_it() -> None:
    store = MemoryStore()
    assert Slots(store).find("blue") is None
    build = Slots(store).claim("blue", recipe())
    assert Slots(store).claim("blue", recipe()) == Slots(store).find("blue") == build
    assert Slots(store).claim("green", recipe()).id != build.id


def test_of_many_concurrent_claims_one_makes_the_build() -> None:
    store = MemoryStore()
    with ThreadPoolExecutor(8) as pool:
        builds = set(pool.map(lambda _: Slots(store).claim("blue", recipe()).id, range(8)))
    assert len(builds) == 1


def test_a_claim_whose_reply_is_lost_finds_what_it_wrote() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "lost_reply"
    assert Slots(store).claim("blue", recipe()) == Slots(store).find("blue")
    assert len(store.writes) == 1


def test_a_store_that_never_answers_is_given_up_with_a_message() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "unavailable"
    with pytest.raises(Unanswered, match="slot blue: its pointer could not be read or written 5 times"):
        Slots(store).claim("blue", recipe())


def test_an_older_build_stays_whatever_the_claim_says() -> None:
    build = Slots(store := MemoryStore()).claim("blue", recipe(shards=2))
    assert Slots(store).claim("blue", recipe(shards=3)) == build


def test_another_recipe_is_refused_with_its_differences() -> None:
    build = Build("b-1", recipe(shards=2, size=20))
    judged = judge("blue", build, recipe(shards=3, size=40))
    assert judged.recipe == build.recipe
    assert judged.refused == (
        "slot blue keeps build b-1, but the configuration differs: chunking.size 20 → 40, shards 2 → 3. "
        "A build never changes: index into the other slot and switch, or revert the change."
    )


def _index(**changes: object) -> IndexParameters:
    return msgspec.structs.replace(recipe().index, **changes)


def _judged(was: IndexParameters, now: IndexParameters) -> tuple[IndexParameters, str]:
    """Return how a build of one index is searched when another is configured, and the differences."""
    build = Build("b-1", msgspec.structs.replace(recipe(), index=was))
    judged = judge("blue", build, msgspec.structs.replace(recipe(), index=now))
    assert judged.recipe == msgspec.structs.replace(build.recipe, index=judged.recipe.index)
    return judged.recipe.index, judged.refused.partition("differs: ")[2].partition(". ")[0]


@pytest.mark.parametrize("type_", ["flat", "hnsw", "ivf", "pq"])
@pytest.mark.parametrize("name", SEARCHED_BY)
def test_search_parameters_change_without_a_build(type_: str, name: str) -> None:
    was, now = _index(type=type_), _index(type=type_, **{name: 77})
    assert _judged(was, now) == (now, "")


@pytest.mark.parametrize(
    ("type_", "change", "differs"),
    [
        ("hnsw", {"m": 9}, "index.m 8 → 9"),
        ("hnsw", {"ef_construction": 200}, "index.ef_construction 50 → 200"),
        ("hnsw", {"lists": 9, "code_dims": 8}, ""),
        ("ivf", {"lists": 9}, "index.lists 0 → 9"),
        ("ivf", {"m": 9, "code_dims": 8}, ""),
        ("pq", {"lists": 9, "code_dims": 8}, "index.lists 0 → 9, index.code_dims 4 → 8"),
        ("flat", {"m": 9, "lists": 9}, ""),
        ("hnsw", {"metric": "l2"}, "index.metric cosine → l2"),
        ("hnsw", {"type": "ivf", "lists": 9}, "index.type hnsw → ivf"),
    ],
)
def test_build_parameters_of_a_type_make_another_recipe(type_: str, change: dict[str, object], differs: str) -> None:
    was = _index(type=type_)
    assert _judged(was, msgspec.structs.replace(was, **change)) == (was, differs)


def test_search_efforts_apply_also_beside_a_refused_change() -> None:
    assert _judged(_index(), _index(m=9, ef_search=99)) == (_index(ef_search=99), "index.m 8 → 9")
    assert _judged(_index(), _index(type="ivf", ef_search=99)) == (_index(), "index.type hnsw → ivf")


def test_a_process_without_a_model_ignores_the_fingerprint() -> None:
    build = Build("b-1", recipe())
    assert judge("blue", build, msgspec.structs.replace(recipe(), fingerprint="")).refused == ""


@pytest.mark.parametrize("body", [b"", b"{", b'{"id": 5}', b"\xff\xfe"])
def test_a_damaged_pointer_is_refused_by_name(body: bytes) -> None:
    store = MemoryStore()
    store.objects["slots/blue.json"] = body
    with pytest.raises(Damaged, match="slot pointer blue"):
        Slots(store).find("blue")


@pytest.mark.parametrize(
    ("part", "value", "differs"),
    [
        ("embedding", {"model": "words", "version": "2", "dims": 8}, "embedding.version 1 → 2"),
        ("embedding", {"model": "words", "version": "1", "dims": 8, "provider": "given"}, "embedding.provider"),
        ("chunking", {"size": 20, "overlap": 1}, "chunking.overlap 0 → 1"),
        ("shards", 3, "shards 2 → 3"),
        ("fingerprint", "sentences-2 words-1", "fingerprint sentences-1 words-1 → sentences-2 words-1"),
    ],
)
def test_any_other_part_makes_another_recipe(part: str, value: object, differs: str) -> None:
    other = msgspec.convert(msgspec.to_builtins(recipe()) | {part: value}, Recipe)
    assert f"differs: {differs}" in judge("blue", Build("b-1", recipe()), other).refused


def test_a_store_that_fails_for_a_moment_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    build = Slots(store).claim("blue", recipe())
    failures = iter([Unanswered("get: 503"), Unanswered("get: 503")])
    get = store.get

    def unwell(key: str) -> StoredObject:
        if (failure := next(failures, None)) is not None:
            raise failure
        return get(key)

    monkeypatch.setattr(store, "get", unwell)
    assert Slots(store).claim("blue", recipe()) == build


def test_a_lost_pointer_points_again_at_the_build_served() -> None:
    store = MemoryStore()
    served = Slots(store).claim("blue", recipe())
    store.objects.clear()
    assert Slots(store).claim("blue", recipe(), served) == served
    store.objects.clear()
    assert Slots(store).claim("blue", recipe(shards=3), served).id != served.id


def test_a_next_build_takes_the_slots_place_once() -> None:
    store = MemoryStore()
    slots, old = Slots(store), Slots(store).claim("blue", recipe())
    new = slots.begin_next("blue", old)
    assert new.id != old.id
    assert (family(new.id), new.recipe) == (family(old.id), old.recipe)
    assert slots.begin_next("blue", old) == slots.find_next("blue") == new
    assert slots.find("blue") == old
    for _ in range(2):
        slots.turn("blue", new)
        assert (slots.find("blue"), slots.find_next("blue")) == (new, None)
    store.objects.clear()
    again = slots.begin_next("blue", new)
    slots.turn("blue", again)
    assert (slots.find("blue"), family(again.id)) == (again, family(old.id))
