"""Ask one replica of every shard; where it is slow or fails, ask another; merge what comes back in time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import aiohttp
import msgspec
from prometheus_client import Counter

from service import traces
from service.index.collection import Hit
from service.node.messages import (
    MEDIA_TYPE,
    LookupAnswer,
    ShardAnswer,
    ShardLookup,
    ShardQuery,
    SnapshotAsk,
    SnapshotAsked,
)
from service.router.replicas import Replica, Replicas

HEDGE_SECONDS = 0.06
HEDGE_WAITING_SECONDS = 0.5
ATTEMPT_SECONDS = 2.0
WAIT_FOR_POSITION_SECONDS = 5.0

Q = TypeVar("Q", ShardQuery, ShardLookup)
A = TypeVar("A", ShardAnswer, LookupAnswer, SnapshotAsked)

log = logging.getLogger(__name__)
HEDGES = Counter("vectorfleet_router_hedges_total", "Requests sent to a second replica because the first was slow")
RETRIES = Counter("vectorfleet_router_retries_total", "Requests sent to another replica because one failed")


class Behind(Exception):
    """Every replica that answered was behind the asked position."""


class Gone(Exception):
    """A replica has seen the collection dropped."""


class Failed(Exception):
    """No replica of the shard gave an answer."""


class Gathered(NamedTuple, Generic[A]):
    """The answers of the shards that gave one; `behind` counts the shards too far behind."""

    answers: dict[int, A]
    behind: int


class Scatter:
    """Requests from this router to nodes."""

    def __init__(self, session: aiohttp.ClientSession, replicas: Replicas, build: Callable[[], str]) -> None:
        self._session = session
        self._replicas = replicas
        self._build = build

    async def search(self, query: ShardQuery) -> Gathered[ShardAnswer]:
        """Every shard's nearest documents; raises Gone, as `lookup` does."""
        return await self._gather(dict.fromkeys(range(self._replicas.shards), query), "/search", ShardAnswer)

    async def lookup(self, queries: dict[int, ShardLookup]) -> Gathered[LookupAnswer]:
        """What the named shards hold."""
        return await self._gather(queries, "/lookup", LookupAnswer)

    async def snapshots(self, ask: SnapshotAsk) -> dict[int, int]:
        """
        Ask every replica of every shard, so that one builds even where another goes away.

        The least position of the next snapshot by shard; a shard of which no replica took the request is left out.
        """
        body = msgspec.msgpack.encode(ask)
        shards = range(self._replicas.shards)
        asked = [(shard, replica) for shard in shards for replica in self._replicas.of(shard, self._build())]
        patience = ATTEMPT_SECONDS + ask.wait_seconds
        positions = await asyncio.gather(*(self._snapshot(replica, body, patience) for _, replica in asked))
        taken: dict[int, int] = {}
        for (shard, _), position in zip(asked, positions, strict=True):
            if position is not None:
                taken[shard] = min(position, taken.get(shard, position))
        return taken

    async def _snapshot(self, replica: Replica, body: bytes, patience_seconds: float) -> int | None:
        try:
            async with asyncio.timeout(patience_seconds):
                return (await self._ask(replica, body, "/snapshot", SnapshotAsked)).position
        except (Behind, Failed, TimeoutError) as error:
            log.warning("no snapshot by this node", extra={"node": replica.node.instance, "reason": str(error)})
            return None

    async def _gather(self, queries: dict[int, Q], path: str, shape: type[A]) -> Gathered[A]:
        results = await asyncio.gather(
            *(self._ask_shard(shard, query, path, shape) for shard, query in queries.items()),
            return_exceptions=True,
        )
        answers: dict[int, A] = {}
        behind = 0
        for shard, result in zip(queries, results, strict=True):
            if isinstance(result, shape):
                answers[shard] = result
            elif isinstance(result, Behind):
                behind += 1
            elif not isinstance(result, Failed):
                assert isinstance(result, BaseException)
                raise result
        return Gathered(answers, behind)

    async def _ask_shard(self, shard: int, query: Q, path: str, shape: type[A]) -> A:
        with traces.span("shard", shard=shard):
            return await self._first_answer(shard, query, path, shape)

    async def _first_answer(self, shard: int, query: Q, path: str, shape: type[A]) -> A:
        """The first good answer of the shard's replicas, asked one after another, sooner when one is slow."""
        body = msgspec.msgpack.encode(query)
        waiting = list(self._replicas.of(shard, self._build()))
        patience = 0.0
        running: set[asyncio.Task[A]] = set()
        behind, why = False, "first"
        until = time.monotonic() + ATTEMPT_SECONDS + _wait_seconds(waiting, query)
        try:
            while (waiting or running) and time.monotonic() < until:
                if waiting:
                    replica = waiting.pop(0)
                    patience = _patience(replica, query)
                    task = asyncio.create_task(self._ask(replica, body, path, shape, why))
                    task.add_done_callback(_retrieve)
                    running.add(task)
                left = until - time.monotonic()
                done, running = await asyncio.wait(
                    running,
                    timeout=min(patience, left) if waiting else left,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    if task.exception() is None or isinstance(task.exception(), Gone):
                        return task.result()
                    behind |= isinstance(task.exception(), Behind)
                why = "retry" if done else "hedge"
                if waiting:
                    (RETRIES if done else HEDGES).inc()
        finally:
            for task in running:
                task.cancel()
        raise Behind if behind else Failed

    async def _ask(self, replica: Replica, body: bytes, path: str, shape: type[A], why: str = "first") -> A:
        node = replica.node
        with traces.call("attempt", shard=node.shard, replica=node.replica, node=node.instance, why=why) as attempt:
            status, content = await self._reply(replica, body, path)
            attempt.set(**{"http.response.status_code": status})
            if status == 200:
                attempt.set(outcome="answered")
                return msgspec.msgpack.decode(content, type=shape)
            if status == 503 and b'"position"' in content:
                raise Behind
            if status == 410:
                raise Gone
            raise Failed(f"{replica.url}{path}: {status}")

    async def _reply(self, replica: Replica, body: bytes, path: str) -> tuple[int, bytes]:
        replica.in_flight += 1
        try:
            try:
                return await self._post(replica.url + path, body)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError):
                # The node closed a connection that lay idle, just as this was sent on it.
                return await self._post(replica.url + path, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The next probe takes it back when it was only a hiccup.
            replica.eject()
            raise Failed(str(error)) from error
        finally:
            replica.in_flight -= 1

    async def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": MEDIA_TYPE, **traces.headers()}
        async with self._session.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.read()


def _retrieve(task: asyncio.Task[A]) -> None:
    """Look at how a request ended: asyncio logs an error that nobody looked at, as when another answer came first."""
    if not task.cancelled():
        task.exception()


def _wait_seconds(replicas: Sequence[Replica], query: ShardQuery | ShardLookup) -> float:
    """Seconds that a shard may take to reach the position: none where all say that they have, whatever keeps them."""
    behind = any(replica.report.position < query.min_position for replica in replicas)
    return query.wait_seconds if behind else 0.0


def _patience(replica: Replica, query: ShardQuery | ShardLookup) -> float:
    """Seconds that a replica may stay silent before another is asked too: more where it has to wait for a position."""
    if replica.report.position >= query.min_position:
        return HEDGE_SECONDS
    return HEDGE_SECONDS + min(query.wait_seconds, HEDGE_WAITING_SECONDS)


def wait_seconds_for(min_position: int) -> float:
    """Seconds that a shard may take to reach a position; none where any position will do."""
    return WAIT_FOR_POSITION_SECONDS if min_position else 0.0


def merge(answers: dict[int, ShardAnswer], k: int) -> list[Hit]:
    """The k best hits of all shards, best first; a document lives on one shard, so none comes twice."""
    hits = [hit for answer in answers.values() for hit in answer.hits]
    return sorted(hits, key=lambda hit: (-hit.score, hit.source_id))[:k]
