"""Only the first write of a request_id counts. Blocks or the log tell its place after any restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.router.write_queue import GroupCommits
from service.storage import request_ids as module
from service.storage import sources
from service.storage.documents import Document, Place, documents_log, from_entry, to_rows
from service.storage.entry import Damaged
from service.storage.log import Append, Tail, tail_of
from service.storage.objects import StoredObject
from service.storage.request_ids import PREFIX, RequestIds
from tests.service.memory_store import MemoryStore

ENTRIES = st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=4), min_size=1, max_size=20)


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_ENTRIES", 3)
    monkeypatch.setattr(module, "BLOCK_IDS", 5)


def _documents(names: Sequence[str]) -> list[Document]:
    return [Document(name, f"s{name}") for name in names]


def _logged(entries: Sequence[Sequence[str]]) -> MemoryStore:
    store, tail = MemoryStore(), Tail()
    for number, names in enumerate(entries):
        tail = tail_of(Append(documents_log(store), tail, to_rows(_documents(names)), f"a{number}").run())
    return store


def _firsts(entries: Sequence[Sequence[str]]) -> dict[str, Place]:
    firsts: dict[str, Place] = {}
    for position, names in enumerate(entries, start=1):
        for item, name in enumerate(names):
            firsts.setdefault(name, Place(position, item))
    return firsts


def _places(one: RequestIds, names: Sequence[str]) -> dict[str, Place]:
    found = zip(names, one.places(_documents(names)), strict=True)
    return {name: place for name, place in found if place is not None}


def _started(store: MemoryStore) -> RequestIds:
    one = RequestIds(store)
    one.load()
    return one


def _keys_read(monkeypatch: pytest.MonkeyPatch, store: MemoryStore, prefix: str) -> Iterator[str]:
    """Collect the keys below a prefix that are read from now on."""
    read: list[str] = []
    get = store.get

    def noted(key: str) -> StoredObject:
        read.append(key)
        return get(key)

    monkeypatch.setattr(store, "get", noted)
    return (key for key in read if key.startswith(prefix))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES, st.data())
def test_first_places_are_known_after_any_restarts(entries: list[list[str]], data: st.DataObject) -> None:
    store = _logged(entries)
    one, number = RequestIds(store), 0
    while number < len(entries):
        if data.draw(st.booleans()):
            one = _started(store)
            assert one.number <= number
        number = data.draw(st.integers(number + 1, len(entries)))
        one.advance(number)
        assert _places(one, "abcdefghij") == _firsts(entries[:number])
    assert _places(_started(store), "abcdefghij").items() <= _firsts(entries).items()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES, st.data())
def test_any_cut_into_steps_keeps_the_same_first_writes(entries: list[list[str]], data: st.DataObject) -> None:
    store = _logged(entries)
    log, one, kept = documents_log(store), RequestIds(store), []
    left = [log.read(number) for number in range(1, len(entries) + 1)]
    while left:
        count = data.draw(st.integers(1, len(left)))
        step, left = left[:count], left[count:]
        # A failed step is repeated.
        for _ in range(data.draw(st.integers(1, 2))):
            for entry in step:
                one.learn(entry)
            fresh = one.first_writes([written for entry in step for written in from_entry(entry)])
        kept += [(written.document.request_id, (written.position, written.item)) for written in fresh]
    assert kept == list(_firsts(entries).items())


def test_a_late_retry_does_not_undo_a_newer_write() -> None:
    store = _logged([["old"], ["new"], ["x"], ["y"], ["old"]])
    one = _started(store)
    for number, kept in [(1, 1), (2, 1), (5, 0)]:
        one.advance(number)
        written = list(from_entry(documents_log(store).read(number)))
        assert len(one.first_writes(written)) == kept


def test_a_starting_process_reads_only_what_no_block_has(monkeypatch: pytest.MonkeyPatch) -> None:
    store = _logged([[f"r{number}"] for number in range(8)])
    RequestIds(store).advance(8)
    assert len(list(store.keys(PREFIX))) == 2
    read = _keys_read(monkeypatch, store, "log/")
    one = _started(store)
    one.advance(8)
    assert [int(key[-26:-6]) for key in read] == [7, 8]
    assert _places(one, ["r0", "r5", "r7"]) == {"r0": (1, 0), "r5": (6, 0), "r7": (8, 0)}


@pytest.mark.parametrize("body", [b"damaged", None])
def test_a_block_that_cannot_be_used_is_read_from_the_log(body: bytes | None) -> None:
    entries = [[f"r{number}"] for number in range(10)]
    store = _logged(entries)
    RequestIds(store).advance(10)
    key = list(store.keys(PREFIX))[1]
    if body is None:
        del store.objects[key]
    else:
        store.objects[key] = body
    one = _started(store)
    assert one.number == 3
    one.advance(10)
    assert _places(one, [name for (name,) in entries]) == _firsts(entries)


def test_every_process_seals_the_same_blocks() -> None:
    entries = [[f"r{number % 7}", f"q{number}"] for number in range(12)]
    stores = [_logged(entries), _logged(entries)]
    RequestIds(stores[0]).advance(12)
    for number in range(1, 13):
        one = _started(stores[1])
        one.advance(number)
    sealed = [{key: body for key, body in store.objects.items() if key.startswith(PREFIX)} for store in stores]
    assert sealed[0] == sealed[1]


def test_a_block_that_could_not_be_stored_is_sealed_later() -> None:
    store = _logged([[f"r{number}"] for number in range(9)])
    store.fault_of = lambda number, key: "unavailable" if key.endswith("4.arrow") else ""
    RequestIds(store).advance(9)
    store.fault_of = lambda number, key: ""
    one = _started(store)
    assert one.number == 3
    one.advance(6)
    assert _started(store).number == 9


def test_behind_a_damaged_entry_nothing_is_sealed() -> None:
    store = _logged([[f"r{number}"] for number in range(6)])
    store.objects[documents_log(store).key(2)] = b"damaged"
    with pytest.raises(Damaged, match="documents entry 2"):
        RequestIds(store).advance(6)
    one = RequestIds(store)
    one.advance(6, skip_damaged=True)
    assert _places(one, ["r0", "r1", "r2"]) == {"r0": (1, 0), "r2": (3, 0)}
    assert not list(store.keys(PREFIX))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.sets(st.sampled_from("abcdefgh"), min_size=1))))
def test_routers_agree_on_the_place_of_every_request(sent: list[tuple[int, bool, set[str]]]) -> None:
    """Three routers, each perhaps restarted before it writes: every answer names the first place."""
    store, known = MemoryStore(), dict[str, Place]()

    async def run() -> None:
        tasks: dict[int, asyncio.Task[None]] = {}
        routers: dict[int, GroupCommits] = {}
        for who, restarts, names in sent:
            if restarts or who not in routers:
                if who in tasks:
                    tasks[who].cancel()
                routers[who] = GroupCommits(store)
                tasks[who] = asyncio.create_task(routers[who].run())
                while not routers[who].ready:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            places = await routers[who].write(_documents(sorted(names)))
            for name, place in zip(sorted(names), places, strict=True):
                assert known.setdefault(name, place) == place
        for task in tasks.values():
            task.cancel()

    asyncio.run(run())
    log = documents_log(store)
    stored = {
        (one.position, one.item): one.document.request_id for entry in log.follow(Tail()) for one in from_entry(entry)
    }
    assert {place: name for name, place in known.items()} == stored
