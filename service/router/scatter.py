"""Requests of a router to one replica of every shard, or to another one if it is slow or fails, and the merge."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import aiohttp
import msgspec
from prometheus_client import Counter

from service.router.replicas import Replica, Replicas
from service.tracing import spans
from service.wire.messages import (
    MEDIA_TYPE,
    Hit,
    LookupAnswer,
    ShardAnswer,
    ShardLookup,
    ShardQuery,
    ShardSnapshotRequest,
    SnapshotAnswer,
)
from service.wire.problems import Problem

HEDGE_SECONDS = 0.06
HEDGE_WAITING_SECONDS = 0.5
ATTEMPT_SECONDS = 2.0
WAIT_FOR_POSITION_SECONDS = 5.0

Q = TypeVar("Q", ShardQuery, ShardLookup)
A = TypeVar("A", ShardAnswer, LookupAnswer, SnapshotAnswer)

log = logging.getLogger(__name__)
HEDGES = Counter("vectorfleet_router_hedges_total", "Requests sent to a second replica because the first was slow")
RETRIES = Counter("vectorfleet_router_retries_total", "Requests sent to another replica because one failed")


class PositionBehind(Exception):
    """Every replica that answered was behind the position of the request."""


class CollectionGone(Exception):
    """The collection is dropped at a replica."""


class NoAnswer(Exception):
    """No replica of the shard answered."""


class Lagging(Problem):
    """Every shard answered, but some are behind the position of the request."""


class ShardAnswers(NamedTuple, Generic[A]):
    """The answers by shard; `behind` counts the shards that are behind the position of the request."""

    answers: dict[int, A]
    behind: int

    def incomplete(self, answered: int, total: int, min_position: int) -> Problem:
        """Return Problem 503 for a request that only `answered` of `total` shards answered."""
        detail = f"{answered} of {total} shards answered"
        if self.behind:
            detail += f"; {self.behind} had not reached position {min_position}"
        kind = Lagging if self.behind and answered + self.behind == total else Problem
        return kind(
            503,
            detail,
            shards_answered=answered,
            shards_total=total,
            shards_behind=self.behind,
            retry_after_seconds=1,
        )


class Scatter:
    """Requests from this router to nodes."""

    def __init__(self, session: aiohttp.ClientSession, replicas: Replicas, build: Callable[[], str]) -> None:
        self._session = session
        self._replicas = replicas
        self._build = build

    async def search(self, query: ShardQuery) -> ShardAnswers[ShardAnswer]:
        """Return every shard's nearest documents; raise CollectionGone, as `lookup` does."""
        return await self._gather(dict.fromkeys(range(self._replicas.shards), query), "/search", ShardAnswer)

    async def lookup(self, queries: dict[int, ShardLookup]) -> ShardAnswers[LookupAnswer]:
        return await self._gather(queries, "/lookup", LookupAnswer)

    async def snapshots(self, ask: ShardSnapshotRequest) -> dict[int, int]:
        """
        Ask every replica of every shard for a snapshot, so that one is made even if a replica goes away.

        Return the least position of the next snapshot by shard, without the shards of which no replica agreed.
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
                return (await self._ask(replica, body, "/snapshot", SnapshotAnswer)).position
        except (PositionBehind, NoAnswer, TimeoutError) as error:
            log.warning("the node makes no snapshot", extra={"node": replica.node.instance, "reason": str(error)})
            return None

    async def _gather(self, queries: dict[int, Q], path: str, shape: type[A]) -> ShardAnswers[A]:
        results = await asyncio.gather(
            *(self._ask_shard(shard, query, path, shape) for shard, query in queries.items()),
            return_exceptions=True,
        )
        answers: dict[int, A] = {}
        behind = 0
        for shard, result in zip(queries, results, strict=True):
            if isinstance(result, shape):
                answers[shard] = result
            elif isinstance(result, PositionBehind):
                behind += 1
            elif not isinstance(result, NoAnswer):
                assert isinstance(result, BaseException)
                raise result
        return ShardAnswers(answers, behind)

    async def _ask_shard(self, shard: int, query: Q, path: str, shape: type[A]) -> A:
        with spans.span("shard", shard=shard):
            return await self._first_answer(shard, query, path, shape)

    async def _first_answer(self, shard: int, query: Q, path: str, shape: type[A]) -> A:
        """Return the first good answer of the shard's replicas. The next replica is asked if one fails or is slow."""
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
                    if task.exception() is None or isinstance(task.exception(), CollectionGone):
                        return task.result()
                    behind |= isinstance(task.exception(), PositionBehind)
                why = "retry" if done else "hedge"
                if waiting:
                    (RETRIES if done else HEDGES).inc()
        finally:
            for task in running:
                task.cancel()
        raise PositionBehind if behind else NoAnswer

    async def _ask(self, replica: Replica, body: bytes, path: str, shape: type[A], why: str = "first") -> A:
        node = replica.node
        with spans.call("attempt", shard=node.shard, replica=node.replica, node=node.instance, why=why) as attempt:
            status, content = await self._reply(replica, body, path)
            attempt.set(**{"http.response.status_code": status})
            if status == 200:
                attempt.set(outcome="answered")
                return msgspec.msgpack.decode(content, type=shape)
            if status == 503 and b'"position"' in content:
                raise PositionBehind
            if status == 410:
                raise CollectionGone
            raise NoAnswer(f"{replica.url}{path}: {status}")

    async def _reply(self, replica: Replica, body: bytes, path: str) -> tuple[int, bytes]:
        replica.in_flight += 1
        try:
            try:
                return await self._post(replica.url + path, body)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError):
                # The node closed an idle connection just as this request was sent on it.
                return await self._post(replica.url + path, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The next probe brings the replica back if the error was a passing one.
            replica.eject()
            raise NoAnswer(str(error)) from error
        finally:
            replica.in_flight -= 1

    async def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": MEDIA_TYPE, **spans.headers()}
        async with self._session.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.read()


def _retrieve(task: asyncio.Task[A]) -> None:
    """Retrieve a request's error: asyncio logs errors that are never retrieved, as when another answer came first."""
    if not task.cancelled():
        task.exception()


def _wait_seconds(replicas: Sequence[Replica], query: ShardQuery | ShardLookup) -> float:
    """Return the seconds that a shard may take to reach the position; 0 if all its replicas report to have."""
    behind = any(replica.report.position < query.min_position for replica in replicas)
    return query.wait_seconds if behind else 0.0


def _patience(replica: Replica, query: ShardQuery | ShardLookup) -> float:
    """Return the seconds before a second replica is asked too; more if the replica has to wait for a position."""
    if replica.report.position >= query.min_position:
        return HEDGE_SECONDS
    return HEDGE_SECONDS + min(query.wait_seconds, HEDGE_WAITING_SECONDS)


def wait_seconds_for(min_position: int) -> float:
    """Return the seconds that a shard may take to reach a position; 0 if any position will do."""
    return WAIT_FOR_POSITION_SECONDS if min_position else 0.0


def merge(answers: dict[int, ShardAnswer], k: int) -> list[Hit]:
    """Return the k best hits, best first. A document lives on one shard, so none comes twice."""
    hits = [hit for answer in answers.values() for hit in answer.hits]
    return sorted(hits, key=lambda hit: (-hit.score, hit.source_id))[:k]
