"""One replica of every shard is asked; a slow, silent or failing one is made up for by another."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from service.router import scatter as scatter_module
from service.router.discovery import NodeAddress
from service.router.replicas import Replica, Replicas, Report
from service.router.scatter import NoAnswer, Scatter, ShardAnswers, merge
from service.wire.messages import Hit, ShardAnswer, ShardQuery
from tests.service.recorded import ids, ours, parent, recorded

QUERY = ShardQuery("b", b"\0" * 4, 10)
Answering = Callable[[web.Request], Awaitable[web.Response]]


def _answer(position: int, name: str = "hit") -> Answering:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.msgpack.encode(ShardAnswer(position, [Hit(name, "", "", 0.5)])))

    return answer


def _status(status: int, body: bytes = b"{}") -> Answering:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    return answer


async def _silent(_: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def _broken(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class Slot(Replicas):
    """Known replicas, asked in the order in which they were added."""

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.tls = None
        self._by_instance: dict[str, Replica] = {}

    def add(self, shard: int, port: int, position: int = 0, build: str = "b") -> None:
        number = len(self._by_instance)
        replica = Replica(NodeAddress(f"i-{number}", "127.0.0.1", "", shard, "a"), port)
        replica.report = Report(True, build=build, position=position)
        self._by_instance[f"i-{number}"] = replica

    def of(self, shard: int, build: str) -> list[Replica]:
        wanted = super().of(shard, build)
        return sorted(wanted, key=lambda replica: replica.node.instance)


def _gather(
    nodes: list[tuple[int, Answering]], query: ShardQuery = QUERY, *, shards: int = 1, position: int = 0
) -> tuple[ShardAnswers[ShardAnswer], Slot, float]:
    """Ask nodes, given as (shard, what they do); returns the answers, the slot afterwards and the seconds taken."""

    async def run() -> tuple[ShardAnswers[ShardAnswer], Slot, float]:
        slot, runners = Slot(shards), []
        for shard, answering in nodes:
            application = web.Application()
            application.router.add_post("/search", answering)
            runner = web.AppRunner(application, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            slot.add(shard, runner.addresses[0][1], position)
            runners.append(runner)
        async with aiohttp.ClientSession() as session:
            started = time.monotonic()
            gathered = await Scatter(session, slot, lambda: "b").search(query)
            seconds = time.monotonic() - started
        for runner in runners:
            await runner.cleanup()
        return gathered, slot, seconds

    return asyncio.run(run())


def _ready(slot: Slot) -> list[bool]:
    return [replica.ready for replica in slot.all()]


def test_every_shard_answers_and_one_replica_each_is_asked() -> None:
    gathered, slot, _ = _gather([(0, _answer(4, "a")), (0, _status(500)), (1, _answer(5, "b"))], shards=2)
    assert {shard: answer.position for shard, answer in gathered.answers.items()} == {0: 4, 1: 5}
    assert _ready(slot) == [True] * 3
    assert [replica.in_flight for replica in slot.all()] == [0] * 3


def test_where_no_replica_is_ready_restored_ones_answer() -> None:
    known = Slot(1)
    for port in (1, 2, 3):
        known.add(0, port)
    first, second, third = known.all()
    first.report = Report(False, restored=True, build="b", reason="entry 9 is missing")
    third.report = Report(False, build="b")
    assert known.of(0, "b") == [second]
    second.eject()
    assert known.of(0, "b") == [first, second]
    second.report = Report(False, restored=True, build="another")
    assert known.of(0, "b") == [first]
    assert known.ready(0, "b") == []
    assert known.status()[0][0].reason == "entry 9 is missing"


def test_a_silent_replica_is_hedged() -> None:
    gathered, slot, seconds = _gather([(0, _silent), (0, _answer(4))])
    assert gathered.answers[0].position == 4
    assert seconds < 1
    assert [replica.in_flight for replica in slot.all()] == [0, 0]


@pytest.mark.parametrize("reported", [0, 9])
def test_a_silent_replica_is_hedged_while_waiting_for_a_position(reported: int) -> None:
    query = msgspec.structs.replace(QUERY, min_position=7, wait_seconds=5.0)
    gathered, _, seconds = _gather([(0, _silent), (0, _answer(9))], query, position=reported)
    assert gathered.answers[0].position == 9
    assert seconds < 1.5


def test_a_position_that_a_shard_has_adds_no_waiting() -> None:
    # Every search of a collection names the position of its creation, however long ago that was.
    query = msgspec.structs.replace(QUERY, min_position=7, wait_seconds=5.0)
    gathered, _, seconds = _gather([(0, _silent), (1, _answer(9))], query, shards=2, position=9)
    assert set(gathered.answers) == {1}
    assert seconds < scatter_module.ATTEMPT_SECONDS + 1


@pytest.mark.parametrize("failing", [_status(500), _status(409), _status(503), _broken, _status(200, b"\xc1 garbage")])
def test_a_failing_replica_is_made_up_for_by_another(failing: Answering) -> None:
    gathered, _, seconds = _gather([(0, failing), (0, _answer(4))])
    assert gathered.answers[0].position == 4
    assert seconds < 1


def test_a_broken_connection_ejects_a_replica_until_a_probe() -> None:
    _, slot, _ = _gather([(0, _broken), (0, _answer(4))])
    assert _ready(slot) == [False, True]


@pytest.mark.parametrize(("breaks", "answers"), [(1, [1, 1]), (2, [0, 1])])
def test_an_ended_connection_is_opened_once_more(breaks: int, answers: list[int]) -> None:
    async def answer(request: web.Request) -> web.Response:
        return await (_broken(request) if next(calls) < breaks else _answer(4)(request))

    calls = iter(range(9))

    async def run() -> list[int]:
        application = web.Application()
        application.router.add_post("/search", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        slot = Slot(1)
        slot.add(0, runner.addresses[0][1])
        async with aiohttp.ClientSession() as session:
            scatter = Scatter(session, slot, lambda: "b")
            answered = [len((await scatter.search(QUERY)).answers) for _ in range(2)]
        await runner.cleanup()
        return answered

    assert asyncio.run(run()) == answers


def test_a_shard_with_dead_nodes_is_missing_at_once() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))

        async def run() -> list[float]:
            slot = Slot(1)
            for _ in range(3):
                slot.add(0, held.getsockname()[1])
            seconds = []
            async with aiohttp.ClientSession() as session:
                for _ in range(3):
                    started = time.monotonic()
                    assert await Scatter(session, slot, lambda: "b").search(QUERY) == ({}, 0)
                    seconds.append(time.monotonic() - started)
            assert _ready(slot) == [False] * 3
            assert len(slot.of(0, "b")) == 3
            return seconds

        assert max(asyncio.run(run())) < 0.5


def test_failures_beside_a_good_answer_are_taken_note_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scatter_module, "HEDGE_SECONDS", 0.005)
    faults: list[dict[str, Any]] = []

    class Together(Scatter):
        """The last of the replicas lets all of them end in the same turn of the loop; only it has an answer."""

        def __init__(self, session: aiohttp.ClientSession, slot: Slot) -> None:
            super().__init__(session, slot, lambda: "b")
            self.last, self.end = slot.all()[-1], asyncio.Event()

        async def _ask(self, replica: Replica, body: bytes, path: str, shape: Any, why: str = "") -> Any:
            if replica is self.last:
                self.end.set()
                return ShardAnswer(4, [])
            await self.end.wait()
            raise NoAnswer

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        async with aiohttp.ClientSession() as session:
            for _ in range(10):
                slot = Slot(1)
                for port in range(6):
                    slot.add(0, port)
                assert (await Together(session, slot).search(QUERY)).answers[0].position == 4
        gc.collect()

    asyncio.run(run())
    assert faults == []


def test_a_shard_whose_replicas_all_fail_gives_no_answer() -> None:
    gathered, _, _ = _gather([(0, _status(500)), (0, _broken), (1, _answer(4))], shards=2)
    assert (set(gathered.answers), gathered.behind) == ({1}, 0)


def test_another_replica_answers_for_one_that_is_behind() -> None:
    behind = _status(503, b'{"status":503,"position":3}')
    gathered, slot, _ = _gather([(0, behind), (0, _answer(9))], msgspec.structs.replace(QUERY, min_position=7))
    assert gathered.answers[0].position == 9
    assert _ready(slot) == [True, True]


def test_a_shard_that_is_behind_everywhere_is_counted() -> None:
    behind = _status(503, b'{"status":503,"position":3}')
    gathered, _, _ = _gather([(0, behind), (0, behind), (1, _answer(9))], shards=2)
    assert (set(gathered.answers), gathered.behind) == ({1}, 1)


def test_replicas_of_other_builds_or_not_ready_are_not_asked() -> None:
    slot = Slot(1)
    slot.add(0, 1, build="other")
    slot.add(0, 2)
    slot.add(0, 3)
    slot.all()[2].eject()
    assert [replica.port for replica in slot.of(0, "b")] == [2]


def test_the_least_busy_replica_comes_first() -> None:
    slot = Slot(1)
    slot.add(0, 1)
    slot.add(0, 2)
    slot.all()[0].in_flight = 3
    assert [replica.port for replica in Replicas.of(slot, 0, "b")] == [2, 1]


SCORES = st.lists(st.floats(-1, 1, width=16), max_size=8)


@given(st.dictionaries(st.integers(0, 4), SCORES, max_size=4), st.integers(1, 12))
def test_merged_hits_are_the_best_of_all_shards(scores: dict[int, list[float]], k: int) -> None:
    answers = {
        shard: ShardAnswer(1, [Hit(f"{shard}.{n}", "", "", score) for n, score in enumerate(of_shard)])
        for shard, of_shard in scores.items()
    }
    hits = merge(answers, k)
    every = [hit for answer in answers.values() for hit in answer.hits]
    assert hits == sorted(every, key=lambda hit: (-hit.score, hit.source_id))[:k]
    assert len(hits) == min(k, len(every))


def test_each_attempt_is_a_span_that_its_node_hears_of(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine a failure may take longer than the usual patience.
    monkeypatch.setattr(scatter_module, "HEDGE_SECONDS", 0.4)
    heard: list[str] = []

    def hearing(then: Answering) -> Answering:
        async def answer(request: web.Request) -> web.Response:
            heard.append(request.headers["traceparent"].split("-")[2])
            return await then(request)

        return answer

    behind = _status(503, b'{"status":503,"position":3}')
    nodes = [(0, _broken), (0, behind), (0, _silent), (0, _answer(9)), (1, _answer(9))]
    with recorded() as found:
        _gather([(shard, hearing(node)) for shard, node in nodes], shards=2)
        zero, one = sorted(found.named("shard"), key=lambda span: str(ours(span)["shard"]))
        attempts = [span for span in found.named("attempt") if ours(span)["shard"] == 0]
    assert [(ours(span)["why"], ours(span)["outcome"]) for span in attempts] == [
        ("first", "failed"),
        ("retry", "failed"),
        ("retry", "cancelled"),
        ("hedge", "answered"),
    ]
    assert [(span.attributes or {}).get("error.type") for span in attempts] == [
        "NoAnswer",
        "PositionBehind",
        None,
        None,
    ]
    assert [ours(span)["node"] for span in attempts] == ["i-0", "i-1", "i-2", "i-3"]
    assert {parent(span) for span in attempts} == {ids(zero)[1]} != {ids(one)[1]}
    assert {*heard} >= {f"{ids(span)[1]:016x}" for span in attempts}
