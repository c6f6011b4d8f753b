"""Group commit: one request is one commit, several may share one, and every failure says what became of the write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from opentelemetry.trace import StatusCode

from service.router import write_queue as commits_module
from service.router.collections import RegistryChange
from service.router.write_queue import GroupCommits
from service.storage import log as log_module
from service.storage.collections import Kind
from service.storage.conformance import NotConforming
from service.storage.documents import Document, Place, documents_log, from_entry, to_rows
from service.storage.log import AppendFailed, Tail
from service.tracing import spans
from service.wire.problems import Problem
from tests.service.memory_store import Fault, MemoryStore
from tests.service.recorded import Spans, ids, ours, parent, recorded


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits_module, "START_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(log_module, "FIRST_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr(log_module, "LONGEST_PAUSE_SECONDS", 0.001)


def _documents(name: str, count: int = 1, *, characters: int = 10) -> list[Document]:
    return [Document(f"{name}.{item}", f"s{item}", False, "", "x" * characters) for item in range(count)]


def _stored(store: MemoryStore) -> dict[tuple[int, int], str]:
    return {
        (written.position, written.item): written.document.request_id
        for entry in documents_log(store).follow(Tail())
        for written in from_entry(entry)
    }


def _committing(store: MemoryStore, test: Callable[[GroupCommits], Awaitable[None]]) -> None:
    """Run `test` while commits are made."""

    async def run() -> None:
        commits = GroupCommits(store)
        running = asyncio.create_task(commits.run())
        try:
            await asyncio.wait_for(_open(commits), 10)
            await asyncio.wait_for(test(commits), 20)
        finally:
            running.cancel()

    asyncio.run(run())


async def _open(commits: GroupCommits) -> None:
    while not commits.ready:  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def _problem(write: Awaitable[list[Place]]) -> Problem:
    with pytest.raises(Problem) as caught:
        await write
    return caught.value


def _only_log_writes(store: MemoryStore, fault: Fault) -> None:
    store.fault_of = lambda number, key: fault if key.startswith("log/") else ""


def test_requests_of_one_moment_share_a_commit() -> None:
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        sent = {f"r{n}": _documents(f"r{n}", n) for n in range(1, 6)}
        places = await asyncio.gather(*(commits.write(documents) for documents in sent.values()))
        assert {place.position for one in places for place in one} == {1}
        stored = _stored(store)
        for documents, found in zip(sent.values(), places, strict=True):
            assert [stored[place] for place in found] == [document.request_id for document in documents]

    _committing(store, test)


def test_a_request_is_never_spread_over_two_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits_module, "COMMIT_BYTES", 2_000)
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        sent = [_documents(f"r{n}", 5, characters=100) for n in range(7)]
        places = await asyncio.gather(*(commits.write(documents) for documents in sent))
        assert sorted(place[0].position for place in places) == [1, 1, 2, 2, 3, 3, 4]
        assert len(_stored(store)) == 35

    _committing(store, test)


def test_more_than_a_commit_holds_is_413_with_the_limit() -> None:
    async def test(commits: GroupCommits) -> None:
        problem = await _problem(commits.write(_documents("r", 9, characters=1 << 20)))
        assert problem.status == 413
        assert "the limit of a request is 8388608; send fewer" in problem.detail
        # Three bytes per character: what counts is what the object will hold.
        wide = [Document(f"r{n}", "s", False, "", "猫" * (1 << 20)) for n in range(3)]
        assert (await _problem(commits.write(wide))).status == 413

    _committing(MemoryStore(), test)


def test_while_too_much_waits_writers_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits_module, "QUEUE_BYTES", 1_000)
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        first = asyncio.create_task(commits.write(_documents("first", characters=800)))
        await asyncio.sleep(0)
        problem = await _problem(commits.write(_documents("second", characters=800)))
        assert (problem.status, problem.extra["outcome"], problem.extra["retry_after_seconds"]) == (
            429,
            "not_written",
            1,
        )
        assert "the limit is 1000; send again later" in problem.detail
        await first
        assert (await commits.write(_documents("third", characters=800)))[0].position == 2

    _committing(store, test)


def test_before_the_log_is_open_nothing_is_written() -> None:
    async def run() -> None:
        problem = await _problem(GroupCommits(MemoryStore()).write(_documents("r")))
        assert (problem.status, problem.extra["outcome"]) == (503, "not_written")

    asyncio.run(run())


def test_a_slot_of_a_past_position_takes_no_writes() -> None:
    async def run() -> None:
        problem = await _problem(GroupCommits(MemoryStore(), "slot green ends at 4").write(_documents("r")))
        assert (problem.status, problem.extra["outcome"], problem.detail) == (
            409,
            "not_written",
            "slot green ends at 4",
        )

    asyncio.run(run())


def _short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    run = log_module.Append.run
    monkeypatch.setattr(log_module.Append, "run", lambda self: run(self, deadline_seconds=0.05))


@pytest.mark.parametrize("fault", ["unavailable", "conflict"])
def test_a_write_that_may_have_landed_is_a_503_unknown(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    _short_deadline(monkeypatch)
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        _only_log_writes(store, fault)
        problem = await _problem(commits.write(_documents("lost")))
        assert (problem.status, problem.extra["outcome"]) == (503, "unknown")
        store.fault_of = lambda number, key: ""
        assert (await commits.write(_documents("next")))[0].position == 1

    _committing(store, test)


def test_documents_that_make_no_entry_are_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object) -> None:
        raise ValueError("no rows of these")

    async def test(commits: GroupCommits) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(commits_module, "to_rows", broken)
            problem = await asyncio.wait_for(_problem(commits.write(_documents("bad"))), 2)
        assert (problem.status, problem.extra["outcome"]) == (503, "not_written")
        assert (await commits.write(_documents("next")))[0].position == 1

    _committing(MemoryStore(), test)


def test_a_fault_ends_the_router_and_answers_every_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("unforeseen")

    async def test(commits: GroupCommits) -> None:
        monkeypatch.setattr(log_module.Append, "run", broken)
        problem = await asyncio.wait_for(_problem(commits.write(_documents("r"))), 2)
        assert (problem.status, problem.extra["outcome"]) == (503, "unknown")

    _committing(MemoryStore(), test)


def test_a_lost_reply_is_acknowledged_once() -> None:
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        _only_log_writes(store, "lost_reply")
        assert await commits.write(_documents("r")) == [(1, 0)]
        assert _stored(store) == {(1, 0): "r.0"}

    _committing(store, test)


def test_two_routers_never_share_a_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits_module, "GATHER_SECONDS", 0.001)
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        other = GroupCommits(store)
        running = asyncio.create_task(other.run())
        await _open(other)
        # One writes long enough that the other would have to try every number in between.
        for number in range(60):
            await commits.write(_documents(f"early {number}"))
        writes = [writer.write(_documents(f"{n}")) for n, writer in enumerate([commits, other] * 10)]
        places = await asyncio.gather(*writes)
        stored = _stored(store)
        assert [stored[place] for (place,) in places] == [f"{n}.0" for n in range(20)]
        running.cancel()

    _committing(store, test)


def test_a_new_router_continues_after_the_last_entry() -> None:
    store = MemoryStore()

    for number in range(3):

        async def write(commits: GroupCommits, name: str = f"r{number}") -> None:
            await commits.write(_documents(name))

        _committing(store, write)
    assert _stored(store) == {(1, 0): "r0.0", (2, 0): "r1.0", (3, 0): "r2.0"}


def test_a_repetition_is_told_the_first_place_after_a_restart() -> None:
    store = MemoryStore()

    async def first(commits: GroupCommits) -> None:
        assert await commits.write(_documents("r", 2)) == [(1, 0), (1, 1)]

    async def again(commits: GroupCommits) -> None:
        assert await commits.write(_documents("r", 3)[::-1]) == [(2, 0), (1, 1), (1, 0)]
        assert await commits.write(_documents("r", 3)) == [(1, 0), (1, 1), (2, 0)]

    _committing(store, first)
    _committing(store, again)
    assert _stored(store) == {(1, 0): "r.0", (1, 1): "r.1", (2, 0): "r.2"}


def test_repetitions_in_one_commit_share_the_first_place() -> None:
    async def test(commits: GroupCommits) -> None:
        sent = [_documents("other"), _documents("r", 2), _documents("r", 3)]
        places = await asyncio.gather(*map(commits.write, sent))
        assert places == [[(1, 0)], [(1, 1), (1, 2)], [(1, 1), (1, 2), (1, 3)]]

    _committing(MemoryStore(), test)


def test_a_repetition_at_another_router_is_told_the_first_place() -> None:
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        other = GroupCommits(store)
        running = asyncio.create_task(other.run())
        await _open(other)
        for number in range(20):
            writers = [commits, other] if number % 2 else [other, commits]
            at_once = await asyncio.gather(*(one.write(_documents(f"r{number}", 2)) for one in writers))
            assert at_once[0] == at_once[1]
            assert await other.write(_documents(f"r{number}", 2)) == at_once[0]
        assert len(_stored(store)) == 40
        running.cancel()

    _committing(store, test)


def test_the_same_id_for_another_collection_is_no_repetition() -> None:
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        kind = Kind(source="text")
        await commits.change(RegistryChange(commits.collections, lambda known, at: known.with_one("notes", kind, at)))
        one = _documents("r")[0]
        other = msgspec.structs.replace(one, collection=1)
        assert await commits.write([one, other, one]) == [(2, 0), (2, 1), (2, 0)]
        assert await commits.write([other]) == [(2, 1)]

    _committing(store, test)


def test_a_damaged_entry_hides_its_ids_and_stops_no_write() -> None:
    store = MemoryStore()

    async def write(commits: GroupCommits) -> None:
        for name in ("lost", "kept"):
            await commits.write(_documents(name))

    async def again(commits: GroupCommits) -> None:
        assert await commits.write(_documents("kept")) == [(2, 0)]
        assert await commits.write(_documents("lost")) == [(3, 0)]

    _committing(store, write)
    store.objects[documents_log(store).key(1)] = b"damaged"
    _committing(store, again)


def test_a_store_that_is_unwell_at_the_start_is_asked_again() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "unavailable" if number < 6 else ""

    async def test(commits: GroupCommits) -> None:
        assert (await commits.write(_documents("r")))[0].position == 1

    _committing(store, test)


def test_a_store_that_does_not_conform_ends_the_router() -> None:
    class Careless(MemoryStore):
        def create(self, key: str, body: bytes) -> str:
            self.objects.pop(key, None)
            return super().create(key, body)

    with pytest.raises(NotConforming, match="enforces If-None-Match"):
        asyncio.run(asyncio.wait_for(GroupCommits(Careless()).run(), 10))


def test_a_damaged_newest_entry_keeps_the_log_closed() -> None:
    store = MemoryStore()

    async def write(commits: GroupCommits) -> None:
        await commits.write(_documents("r"))

    _committing(store, write)
    key = documents_log(store).key(1)
    body, store.objects[key] = store.objects[key], b"damaged"

    async def run() -> None:
        commits = GroupCommits(store)
        running = asyncio.create_task(commits.run())
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            assert not running.done()
            assert not commits.ready
            await asyncio.sleep(0.005)
        store.objects[key] = body
        await asyncio.wait_for(_open(commits), 10)
        assert (await commits.write(_documents("next")))[0].position == 2
        running.cancel()

    asyncio.run(run())


@pytest.mark.parametrize("lost", [range(2, 3), range(2, 11), range(1, 12)])
def test_a_router_never_fills_a_hole_and_names_it(monkeypatch: pytest.MonkeyPatch, lost: range) -> None:
    """Entries that another router wrote behind this one's tail, and somebody deleted."""
    monkeypatch.setattr(commits_module, "FRESH_TAIL_SECONDS", 0.0)
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        await commits.write(_documents("first"))
        log = documents_log(store)
        for number in range(2, 15):
            log_module.Append(log, log.tail(), to_rows(_documents(f"other{number}")), f"other{number}").run()
        kept = {log.key(number): store.objects.pop(log.key(number)) for number in lost}
        before = dict(store.objects)
        problem = await _problem(commits.write(_documents("next")))
        assert (problem.status, problem.extra["outcome"]) == (503, "not_written")
        assert "missing" in problem.detail
        assert store.objects == before
        store.objects |= kept
        assert await commits.write(_documents("next")) == [(15, 0)]

    _committing(store, test)


def test_a_router_in_the_midst_of_writing_reads_nothing_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits_module, "FRESH_TAIL_SECONDS", 60.0)
    store = MemoryStore()

    async def test(commits: GroupCommits) -> None:
        monkeypatch.setattr(store, "keys", None)
        monkeypatch.setattr(store, "get", None)
        for number in range(1, 4):
            assert await commits.write(_documents(f"r{number}")) == [(number, 0)]

    _committing(store, test)


def test_a_router_does_not_open_a_log_with_a_hole_before_its_end() -> None:
    store = MemoryStore()
    log = documents_log(store)
    for number in range(1, 13):
        log_module.Append(log, log.tail(), to_rows(_documents(f"r{number}")), f"r{number}").run()
    kept = {log.key(number): store.objects.pop(log.key(number)) for number in range(1, 11)}

    async def run() -> None:
        commits = GroupCommits(store)
        running = asyncio.create_task(commits.run())
        while not commits.damage:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert commits.damage == "documents entries 1 to 10 are missing, but entry 11 is there"
        assert (await _problem(commits.write(_documents("next")))).extra["outcome"] == "not_written"
        store.objects |= kept
        await asyncio.wait_for(_open(commits), 10)
        assert (commits.damage, await commits.write(_documents("next"))) == ("", [(13, 0)])
        running.cancel()

    asyncio.run(run())


def _written_as_requests(found: Spans, store: MemoryStore, count: int) -> None:
    async def request(commits: GroupCommits, number: int) -> None:
        with spans.span("request", number=number):
            await commits.write(_documents(f"r{number}", 2))

    async def test(commits: GroupCommits) -> None:
        await asyncio.gather(*(request(commits, number) for number in range(count)), return_exceptions=True)

    _committing(store, test)


def test_a_commit_is_in_one_request_and_linked_with_the_others() -> None:
    with recorded() as found:
        _written_as_requests(found, MemoryStore(), 3)
        (first, *others), commit, append = found.named("write"), found.one("commit"), found.one("append")
    assert [parent(span) for span in (first, *others)] == [ids(span)[1] for span in found.named("request")]
    assert (parent(commit), parent(append)) == (ids(first)[1], ids(commit)[1])
    assert [(link.context.trace_id, link.context.span_id) for link in commit.links] == [ids(one) for one in others]
    assert [[link.context.span_id for link in one.links] for one in others] == [[ids(commit)[1]]] * 2
    assert ours(commit) == {"requests": 3, "documents": 6, "position": 1}
    for span in (first, *others):
        assert (ours(span)["documents"], ours(span)["position"]) == (2, 1)
        assert 0 <= float(str(ours(span)["queued_seconds"])) < 5


def test_a_failed_commit_fails_in_each_requests_span(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise AppendFailed("not_written", "no place")

    monkeypatch.setattr(log_module.Append, "run", broken)
    with recorded() as found:
        _written_as_requests(found, MemoryStore(), 2)
        failed = [found.one("append"), *found.named("write")]
        assert ours(found.one("commit"))["outcome"] == "not_written"
    assert [span.status.status_code for span in failed] == [StatusCode.ERROR] * 3
