"""Routes of searches: one, or several at once."""

from __future__ import annotations

import asyncio
import base64
import time
from functools import partial
from http import HTTPStatus

import numpy as np
from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.router.answers import BatchAnswer, BatchResult, SearchAnswer, SearchFailure
from service.router.api.decoding import decoded, queried
from service.router.api.overload import Reads
from service.router.api.requests import BatchRequest, SearchRequest, float32_of
from service.router.cloudwatch_metrics import FleetMetrics
from service.router.scatter import Lagging, merge, wait_seconds_for
from service.router.slot import Slot, Space
from service.serving import json_response
from service.storage.collections import Collection
from service.tracing import spans
from service.wire.bodies import body_of, content_type
from service.wire.limits import MAX_BODY_BYTES
from service.wire.messages import ShardQuery
from service.wire.problems import Problem

RAW_MEDIA_TYPE = "application/octet-stream"
SEARCHES = Counter("vectorfleet_router_searches_total", "Searches by how they ended", ["outcome"])
SEARCH_SECONDS = Histogram(
    "vectorfleet_router_search_seconds",
    "Time from a search's arrival to its answer",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)


class SearchRoutes:
    """Everything under /v1/search."""

    def __init__(self, slot: Slot, reads: Reads, metrics: FleetMetrics) -> None:
        self._slot = slot
        self._reads = reads
        self._metrics = metrics

    def routes(self) -> list[Route]:
        return [
            Route("/v1/search", self.search, methods=["POST"]),
            Route("/v1/search/batch", self.search_batch, methods=["POST"]),
        ]

    async def search(self, request: Request) -> Response:
        """Answer with the nearest documents; an answer without every shard says so, a lagging shard is a 503."""
        body = await decoded_search(request)
        with self._reads.one():
            return json_response(await self._counted(body))

    async def search_batch(self, request: Request) -> Response:
        """Answer several searches at once; one that fails gives its problem in its own place."""
        batch = await decoded(request, BatchRequest)
        batch.check()
        with self._reads.under_way(len(batch.searches)):
            return json_response(BatchAnswer(await asyncio.gather(*map(self._one_of_batch, batch.searches))))

    async def _one_of_batch(self, body: SearchRequest) -> BatchResult:
        try:
            return BatchResult(answer=await self._counted(body))
        except Problem as problem:
            status = HTTPStatus(problem.status)
            return BatchResult(problem=SearchFailure(status, status.phrase, problem.detail))

    async def _counted(self, body: SearchRequest) -> SearchAnswer:
        """Answer a search; count and time it by its outcome."""
        started = time.perf_counter()
        complete = partial = False
        try:
            answer = await self._search(body)
            complete, partial = not answer.partial, answer.partial
        except Problem as problem:
            lagging, mistaken = isinstance(problem, Lagging), problem.status < 500
            # A caller's mistake is not a failure of the fleet, and lag has its own alarm.
            complete = lagging or mistaken
            SEARCHES.labels("behind" if lagging else "refused" if mistaken else "failed").inc()
            raise
        finally:
            seconds = time.perf_counter() - started
            SEARCH_SECONDS.observe(seconds)
            self._metrics.observe(seconds * 1000, complete=complete, partial=partial)
        SEARCHES.labels("complete" if complete else "partial").inc()
        return answer

    async def _search(self, body: SearchRequest) -> SearchAnswer:
        with spans.span("search", k=body.k, exact=body.exact, filtered=body.filter is not None) as span:
            body.check()
            answer = await self._slot.on_collection(body.collection, partial(self._nearest, body))
            span.set(shards=answer.shards_total, shards_answered=answer.shards_answered, hits=len(answer.hits))
            return answer

    async def _nearest(self, body: SearchRequest, collection: Collection) -> SearchAnswer:
        scatter, build = self._slot.serving()
        space = self._slot.space.within(collection)
        space.check(body.model)
        vector = await self._vector(body, space)
        # A node that has reached a collection's creation has the collection, or has seen it dropped.
        least, wanted = max(body.min_position, collection.id), body.conditions()
        wait = wait_seconds_for(least)
        query = ShardQuery(build.id, vector.tobytes(), body.k, body.exact, least, wait, wanted, collection.id)
        gathered = await scatter.search(query)
        answered, total = len(gathered.answers), self._slot.replicas.shards
        if not answered or (gathered.behind and body.min_position):
            raise gathered.incomplete(answered, total, least)
        with spans.span("merge"):
            hits = merge(gathered.answers, body.k)
        return SearchAnswer(
            hits=hits,
            shards_total=total,
            shards_answered=answered,
            partial=sum(answer.complete for answer in gathered.answers.values()) < total,
            position=min(answer.position for answer in gathered.answers.values()),
        )

    async def _vector(self, body: SearchRequest, space: Space) -> np.ndarray:
        """Return the query's vector. A given vector needs no model, so such searches go on without one."""
        if body.vector is not None:
            return space.metric.prepared(float32_of(body.vector, space))
        if space.embedding.given:
            raise Problem(
                422, f"vectors of {space.embedding.name} come with the documents; ask with a vector of the same model"
            )
        if self._slot.embedder is None:
            raise Problem(503, self._slot.fault or "the model is not loaded yet", retry_after_seconds=1)
        with spans.span("embed"):
            return await self._slot.embedder.vector(body.text)


async def decoded_search(request: Request) -> SearchRequest:
    """Decode a search: JSON, or the raw float32 of its vector with the rest in the query string; raise Problem."""
    if content_type(request).media_type != RAW_MEDIA_TYPE:
        return await decoded(request, SearchRequest)
    vector = base64.b64encode(await body_of(request, MAX_BODY_BYTES)).decode()
    return queried(request, SearchRequest, vector=vector)
