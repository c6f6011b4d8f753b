"""A node's HTTP API for routers: search and look up in its shard."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
import numpy as np
from prometheus_client import Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.index.collection import CollectionIndex
from service.node.generations import Generations
from service.node.replica import Replica
from service.node.search_threads import SearchThreads
from service.node.verification import Verification
from service.storage.builds import family
from service.tracing import spans
from service.wire.bodies import body_of
from service.wire.messages import (
    MEDIA_TYPE,
    Found,
    LookupAnswer,
    ShardAnswer,
    ShardLookup,
    ShardQuery,
    ShardSnapshotRequest,
    SnapshotAnswer,
)
from service.wire.problems import Problem

T = TypeVar("T")
MAX_BODY_BYTES = 16 << 20
NO_BUILD = "the slot has no build yet; the indexer creates it"

SEARCH_SECONDS = Histogram(
    "vectorfleet_node_search_seconds",
    "Time a node spends on one search",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
)
BEHIND = Counter("vectorfleet_node_behind_total", "Requests refused because the position was not reached in time")
POSITION = Gauge("vectorfleet_node_position", "Documents position that answers reflect")
# A gauge is a float64, which holds 53 bits exactly.
DIGEST_BITS = 48
DIGEST = Gauge("vectorfleet_node_digest", f"Low {DIGEST_BITS} bits of the digest of the live documents")
ROWS = Gauge("vectorfleet_node_rows", "Live chunks")
DELTA_ROWS = Gauge("vectorfleet_node_delta_rows", "Chunks written since the base")
UNPROTECTED = Gauge("vectorfleet_node_unprotected", "Writes that the snapshot below lacks")
SEGMENTS = Gauge("vectorfleet_node_segments", "Deltas frozen since the base, sealed or not")
GENERATION = Gauge("vectorfleet_node_generation", "Generation of the base; 0 without one")
READY = Gauge("vectorfleet_node_ready", "1 when restored, covering the documents head seen at start, and not stale")
ADJUSTED = Gauge(
    "vectorfleet_node_adjusted", "Collections whose base is searched further than configured, to find enough"
)
HELD_BACK = Gauge("vectorfleet_node_held_back", "1 when memory is too short for a process with the next generation")
STALE = Gauge(
    "vectorfleet_node_stale", "1 when the replay stops at a damaged log entry, or one that ended three processes"
)


class NodeApi:
    """The routes of one replica; until there is one, they answer that it is not ready.

    `gives_way` is true while a successor loads.
    """

    def __init__(self) -> None:
        self._served: Replica | None = None
        self.reason = NO_BUILD
        self.misconfigured = ""
        self._threads = SearchThreads()
        self.verification: Verification | None = None
        self.generations: Generations | None = None
        self.gives_way = False
        self._sampling: asyncio.Task[None] | None = None

    def serve(self, replica: Replica) -> None:
        """Answer from this replica from now on, and show its figures as metrics."""
        self._served = replica
        POSITION.set_function(lambda: replica.position)
        DIGEST.set_function(lambda: int(replica.index.digest, 16) % (1 << DIGEST_BITS))
        ROWS.set_function(lambda: replica.index.rows)
        DELTA_ROWS.set_function(lambda: replica.index.delta_rows)
        UNPROTECTED.set_function(lambda: replica.unprotected)
        SEGMENTS.set_function(lambda: replica.index.segments)
        GENERATION.set_function(lambda: replica.generation)
        READY.set_function(lambda: replica.ready)
        HELD_BACK.set_function(lambda: bool(replica.held_back))
        ADJUSTED.set_function(lambda: len(replica.index.adjusted))
        STALE.set_function(lambda: bool(replica.stale))

    def routes(self) -> list[Route]:
        return [
            Route("/search", self.search, methods=["POST"]),
            Route("/lookup", self.lookup, methods=["POST"]),
            Route("/verify", self.verify, methods=["POST"]),
            Route("/snapshot", self.snapshot, methods=["POST"]),
        ]

    def readiness(self) -> tuple[bool, object]:
        """Return whether the replica is ready, and its description.

        Ready means restored, with canaries answered, and replayed to the documents head seen at start.
        """
        misconfigured = {"misconfigured": self.misconfigured}
        if self._served is None:
            return False, {"ready": False, "reason": self.reason} | misconfigured
        described = self._served.describe() | misconfigured
        return self._served.ready, described if self._served.restored else described | {"reason": self.reason}

    @property
    def _replica(self) -> Replica:
        if self._served is None:
            raise Problem(503, self.reason, retry_after_seconds=1)
        return self._served

    async def search(self, request: Request) -> Response:
        """Return the nearest documents of the shard."""
        query = await _decoded(request, ShardQuery)
        await self._ready_for(query.build, query.min_position, query.wait_seconds)
        index, vector = self._collection(query.collection), query.array()
        if vector.shape != (index.dims,) or not np.isfinite(vector).all():
            raise Problem(422, f"the vector has shape {vector.shape}; give {index.dims} finite numbers")
        configured = self._replica.index.recipe_of(query.collection).index
        searched = index.base.parameters if index.base is not None else configured
        span = spans.span(
            "search",
            k=query.k,
            exact=query.exact,
            filtered=query.filter is not None,
            collection=query.collection,
            index=searched.type,
            ef_search=searched.ef_search,
        )
        with SEARCH_SECONDS.time(), span:
            hits = await index.search_with(self._threads.run, vector, query.k, exact=query.exact, wanted=query.filter)
        # If the collection was dropped meanwhile, the answer would name a position at which it has no rows.
        self._collection(query.collection)
        recall = self._replica.recall
        # The alarm's threshold is that of the slot's index type.
        if recall.due and not query.exact and configured.type == self._replica.shard.build.recipe.index.type:
            exactly = index.exact_later(vector, query.k, query.filter)
            self._sampling = asyncio.create_task(recall.sample(hits, exactly, index.metric))
        return _encoded(ShardAnswer(self._replica.position, hits, self._replica.ready))

    async def lookup(self, request: Request) -> Response:
        """Return which of the given documents the shard holds."""
        query = await _decoded(request, ShardLookup)
        await self._ready_for(query.build, query.min_position, query.wait_seconds)
        index = self._collection(query.collection)
        held = {source_id: index.held(source_id) for source_id in query.source_ids}
        found = {
            source_id: Found(document.position, document.item, document.content_hash.hex())
            for source_id, document in held.items()
            if document is not None
        }
        return _encoded(LookupAnswer(self._replica.position, found, self._replica.ready))

    async def verify(self, _: Request) -> Response:
        """Start a comparison of the live set with a fold from S3; the answer does not wait for it."""
        if self.verification is None:
            raise Problem(503, "this replica is still restoring, which verifies its rows anyway", retry_after_seconds=1)
        self.verification.ask()
        return Response(status_code=202)

    async def snapshot(self, request: Request) -> Response:
        """Start a snapshot of the records applied so far; the answer does not wait for it."""
        ask = await _decoded(request, ShardSnapshotRequest)
        await self._ready_for(ask.build, ask.min_position, ask.wait_seconds)
        if self.generations is None or self._replica.held_back or self.gives_way:
            waits = "a successor takes over" if self.gives_way else "this replica has only just restored"
            reason = self._replica.held_back or waits
            raise Problem(503, f"no snapshot can be made here: {reason}", retry_after_seconds=1)
        return _encoded(SnapshotAnswer(self.generations.ask()))

    def _collection(self, collection: int) -> CollectionIndex:
        """Return a collection's index. The position is past its creation, so a missing one was dropped."""
        index = self._replica.index.of(collection)
        if index is None:
            raise Problem(410, f"collection {collection} is gone at position {self._replica.position}")
        return index

    async def _reaches(self, position: int, wait_seconds: float) -> bool:
        replica = self._replica
        if replica.position >= position:
            return True
        with spans.span("wait", position=position, applied=replica.position) as waited:
            reached = await replica.reaches(position, wait_seconds)
            waited.set(reached=reached)
            return reached

    async def _ready_for(self, build: str, min_position: int, wait_seconds: float) -> None:
        replica = self._replica
        if not replica.restored:
            raise Problem(503, "this replica is still restoring; ask another")
        if family(build) != family(replica.shard.build.id):
            raise Problem(409, f"this replica serves build {replica.shard.build.id}, the request names {build}")
        if not await self._reaches(min_position, wait_seconds):
            BEHIND.inc()
            raise Problem(
                503,
                f"position {replica.position} is applied, the request wants {min_position}",
                position=replica.position,
                retry_after_seconds=1,
            )


async def _decoded(request: Request, shape: type[T]) -> T:
    body = await body_of(request, MAX_BODY_BYTES)
    try:
        return msgspec.msgpack.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(422, f"the body is not a {shape.__name__} in {MEDIA_TYPE}: {error}") from error


def _encoded(answer: object) -> Response:
    return Response(msgspec.msgpack.encode(answer), media_type=MEDIA_TYPE)
