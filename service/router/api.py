"""The public API: write, look up, search, status."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import numpy as np
from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import traces
from service.node.messages import ShardLookup, ShardQuery, SnapshotAsk
from service.problems import Problem
from service.router.answers import (
    AskedShard,
    AskedSnapshots,
    BatchAnswer,
    BatchResult,
    LookupDocuments,
    SearchAnswer,
    SearchFailure,
    ShardStatus,
    StatusAnswer,
    WriteAnswer,
    WriteResult,
)
from service.router.collections_api import CollectionsApi
from service.router.commits import GroupCommits, Outdated
from service.router.configuration import Configuration
from service.router.figures import FleetMetrics
from service.router.lag import Lag
from service.router.openapi import JSON, encoded
from service.router.overload import Fullness, Reads
from service.router.paths import SOURCE_ID
from service.router.questions import Questions
from service.router.replicas import Replicas
from service.router.requests import (
    BatchRequest,
    DeletionQuery,
    DocumentQuery,
    DocumentWrite,
    LookupRequest,
    SearchRequest,
    SnapshotRequest,
    SnapshotsQuery,
    Space,
    VerificationRequest,
    WriteRequest,
    decoded,
    decoded_search,
    float32_of,
    named,
    queried,
    refuse_body,
)
from service.router.scatter import Gone, Scatter, merge, wait_seconds_for
from service.router.stored import Stored
from service.router.verification import Verification
from service.serving import json_response
from service.storage.builds import Build
from service.storage.collections import Collection
from service.storage.shards import shard_of

T = TypeVar("T")
# How often a write follows a name to another collection of it before it gives up.
NAMESAKES = 3

SEARCHES = Counter("vectorfleet_router_searches_total", "Searches by how they ended", ["outcome"])
SEARCH_SECONDS = Histogram(
    "vectorfleet_router_search_seconds",
    "Time from a search's arrival to its answer",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
WRITTEN = Counter("vectorfleet_router_documents_written_total", "Documents acknowledged")


class Lagging(Problem):
    """Every shard answered, but some lag behind the position that was asked for."""


class RouterApi:
    """The routes of one router. `build` and `questions` are set when the slot has them, `fault` if one can't be."""

    def __init__(
        self,
        *,
        fleet: str,
        slot: str,
        space: Space,
        replicas: Replicas,
        commits: GroupCommits,
        stored: Stored,
        verification: Verification,
        metrics: FleetMetrics,
        lag: Lag,
        configuration: Configuration,
        indexing: str,
    ) -> None:
        self._fleet, self._slot = fleet, slot
        self._configured = space
        self._replicas = replicas
        self._commits = commits
        self._collections = commits.collections
        self._metrics = metrics
        self._lag = lag
        self._configuration, self._indexing = configuration, indexing
        self._reads = Reads()
        self._fullness = Fullness(replicas)
        self._stored = stored
        self._verification = verification
        self.of_collections = CollectionsApi(commits, replicas, lambda: self._space, lambda: self.build)
        self.build: Build | None = None
        self.questions: Questions | None = None
        self.fault = ""
        self.scatter: Scatter | None = None

    def routes(self) -> list[Route]:
        """Everything under /v1, and its description."""
        return [
            *self.of_collections.routes(),
            Route("/v1/documents", self.write, methods=["POST"]),
            Route("/v1/documents/lookup", self.lookup, methods=["POST"]),
            Route(f"/v1/documents/{SOURCE_ID}", self.document),
            Route(f"/v1/documents/{SOURCE_ID}", self.delete, methods=["DELETE"]),
            Route("/v1/search", self.search, methods=["POST"]),
            Route("/v1/search/batch", self.search_batch, methods=["POST"]),
            Route("/v1/snapshots", self.snapshots),
            Route("/v1/snapshots", self.take_snapshots, methods=["POST"]),
            Route("/v1/snapshots/verify", self.verify_snapshots, methods=["POST"]),
            Route("/v1/slots", self.slots),
            Route("/v1/status", self.status),
            Route("/openapi.json", self.openapi),
        ]

    def readiness(self) -> tuple[bool, object]:
        """Ready: the documents log is open, the model loaded, and every shard has a replica that answers."""
        missing = self._missing_shards()
        ready = self._commits.ready and self.scatter is not None and self.questions is not None and not missing
        reason = {"reason": fault} if (fault := self.fault or self._commits.damage) else {}
        return ready, {"ready": ready, "build": self.build_id, "shards_missing": missing} | reason

    @property
    def build_id(self) -> str:
        """The id of the slot's build; empty before there is one."""
        return self.build.id if self.build else ""

    @property
    def _space(self) -> Space:
        """What the build was made with counts; before there is one, the configuration."""
        if self.build is None:
            return self._configured
        return Space.of(self.build.recipe.embedding, self.build.recipe.index)

    def _missing_shards(self) -> list[int]:
        shards = range(self._replicas.shards)
        return [shard for shard in shards if not self._replicas.ready(shard, self.build_id)]

    async def write(self, request: Request) -> Response:
        """Store documents; the answer means that they are in S3."""
        body = await decoded(request, WriteRequest)
        body.check()
        return await self._store(body)

    async def delete(self, request: Request) -> Response:
        """Store the deletion of one document."""
        deletion = DocumentWrite.deletion(request.path_params["source_id"])
        await refuse_body(request)
        return await self._store(WriteRequest([deletion], collection=queried(request, DeletionQuery).collection))

    async def _store(self, body: WriteRequest) -> Response:
        if not all(write.delete for write in body.documents):
            self._fullness.check()
        for _ in range(NAMESAKES):
            space = self._space.within(await self._collections.find(body.collection))
            space.check(body.model)
            documents = [write.document(space) for write in body.documents]
            with suppress(Outdated):
                places = await self._commits.write(documents)
                break
        else:
            raise Problem(
                503,
                f"collection {body.collection!r} was dropped and created again {NAMESAKES} times meanwhile",
                outcome="not_written",
                retry_after_seconds=1,
            )
        WRITTEN.inc(len(documents))
        results = [
            WriteResult(document.source_id, document.request_id, place.item, place.position)
            for document, place in zip(documents, places, strict=True)
        ]
        return json_response(WriteAnswer(max(place.position for place in places), results))

    async def _within(self, reference: str, ask: Callable[[Collection], Awaitable[T]]) -> T:
        """What is answered of the collection of a name: of a namesake where nodes say that the one known is gone."""
        with suppress(Gone):
            return await ask(await self._collections.find(reference))
        try:
            return await ask(await self._collections.find_anew(reference))
        except Gone as error:
            raise Problem(410, f"collection {reference!r} was dropped; create it again, or name another") from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One read under way while the block runs; that shards lag too far for it is counted apart."""
        with self._reads.under_way():
            try:
                yield
            except Lagging:
                self._metrics.observe_behind()
                raise

    async def lookup(self, request: Request) -> Response:
        """What is held of documents, from every shard concerned; 503 unless all of them answer."""
        body = await decoded(request, LookupRequest)
        with self._reading():
            return json_response(await self._found(body))

    async def document(self, request: Request) -> Response:
        """A document as it was last written: nodes know where, the documents log has it whole."""
        source_id = named(request.path_params["source_id"])
        query = queried(request, DocumentQuery)
        wanted = LookupRequest([source_id], query.min_position, query.collection)
        with self._reading():
            found = await self._found(wanted)
            place = found.documents[source_id]
            if place is None:
                raise Problem(404, f"there is no document {source_id!r} as of position {found.position}")
            return json_response(await self._stored.document(place.position, place.item))

    async def _found(self, body: LookupRequest) -> LookupDocuments:
        return await self._within(body.collection, partial(self._found_in, body))

    async def _found_in(self, body: LookupRequest, collection: Collection) -> LookupDocuments:
        scatter, build = self._serving()
        least = max(body.min_position, collection.id)
        by_shard: dict[int, list[str]] = defaultdict(list)
        for source_id in body.source_ids:
            by_shard[shard_of(source_id, self._replicas.shards)].append(source_id)
        wait = wait_seconds_for(least)
        asked = {s: ShardLookup(build.id, ids, least, wait, collection.id) for s, ids in by_shard.items()}
        gathered = await scatter.lookup(asked)
        complete = sum(answer.complete for answer in gathered.answers.values())
        if complete < len(by_shard):
            raise self._incomplete(complete, len(by_shard), gathered.behind, least)
        documents = dict.fromkeys(body.source_ids, None) | {
            source_id: found for answer in gathered.answers.values() for source_id, found in answer.documents.items()
        }
        position = min(answer.position for answer in gathered.answers.values())
        return LookupDocuments(position, documents)

    async def search(self, request: Request) -> Response:
        """The nearest documents; an answer that lacks a shard says so, one that lacks the position is a 503."""
        body = await decoded_search(request)
        with self._reading():
            return json_response(await self._counted(body))

    async def search_batch(self, request: Request) -> Response:
        """Several searches side by side; one that fails says so in its own place."""
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
        """The answer, counted and timed by how it ended."""
        started = time.perf_counter()
        complete = partial = False
        try:
            answer = await self._search(body)
            complete, partial = not answer.partial, answer.partial
        except Problem as problem:
            lagging, mistaken = isinstance(problem, Lagging), problem.status < 500
            # A caller's mistake is no failure of the fleet, and lag has an alarm of its own.
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
        with traces.span("search", k=body.k, exact=body.exact, filtered=body.filter is not None) as searched:
            body.check()
            answer = await self._within(body.collection, partial(self._nearest, body))
            searched.set(shards=answer.shards_total, shards_answered=answer.shards_answered, hits=len(answer.hits))
            return answer

    async def _nearest(self, body: SearchRequest, collection: Collection) -> SearchAnswer:
        scatter, build = self._serving()
        space = self._space.within(collection)
        space.check(body.model)
        vector = await self._vector(body, space)
        # A node that has reached a collection's creation has it, or has seen it dropped.
        least, wanted = max(body.min_position, collection.id), body.conditions()
        wait = wait_seconds_for(least)
        query = ShardQuery(build.id, vector.tobytes(), body.k, body.exact, least, wait, wanted, collection.id)
        gathered = await scatter.search(query)
        answered, total = len(gathered.answers), self._replicas.shards
        if not answered or (gathered.behind and body.min_position):
            raise self._incomplete(answered, total, gathered.behind, least)
        with traces.span("merge"):
            hits = merge(gathered.answers, body.k)
        return SearchAnswer(
            hits=hits,
            shards_total=total,
            shards_answered=answered,
            partial=sum(answer.complete for answer in gathered.answers.values()) < total,
            position=min(answer.position for answer in gathered.answers.values()),
        )

    def _serving(self) -> tuple[Scatter, Build]:
        if self.scatter is None or self.build is None:
            raise Problem(503, "the slot has no build yet; the indexer makes it", retry_after_seconds=1)
        return self.scatter, self.build

    async def _vector(self, body: SearchRequest, space: Space) -> np.ndarray:
        """A vector needs no model, so that searches by vector go on while it is away."""
        if body.vector is not None:
            return space.metric.prepared(float32_of(body.vector, space))
        if space.embedding.given:
            raise Problem(
                422, f"vectors of {space.embedding.name} come with the documents; ask with a vector of the same model"
            )
        if self.questions is None:
            raise Problem(503, self.fault or "the model is not loaded yet", retry_after_seconds=1)
        with traces.span("embed"):
            return await self.questions.vector(body.text)

    @staticmethod
    def _incomplete(answered: int, total: int, behind: int, min_position: int) -> Problem:
        detail = f"{answered} of {total} shards answered"
        if behind:
            detail += f"; {behind} had not reached position {min_position}"
        kind = Lagging if behind and answered + behind == total else Problem
        return kind(
            503,
            detail,
            shards_answered=answered,
            shards_total=total,
            shards_behind=behind,
            retry_after_seconds=1,
        )

    async def snapshots(self, request: Request) -> Response:
        """The newest snapshots of the slot's build, as S3 has them."""
        _, build = self._serving()
        limit = queried(request, SnapshotsQuery).limit
        return json_response(await self._stored.snapshots(build, limit))

    async def take_snapshots(self, request: Request) -> Response:
        """Have every shard's replicas make a snapshot; the answer does not wait for them."""
        body = await decoded(request, SnapshotRequest)
        scatter, build = self._serving()
        taken = await scatter.snapshots(SnapshotAsk(build.id, body.min_position, wait_seconds_for(body.min_position)))
        if missing := sorted(set(range(self._replicas.shards)) - taken.keys()):
            raise Problem(
                503,
                f"no replica of shards {missing} can make a snapshot now; /v1/status shows how they are, the others "
                "make theirs",
                shards_answered=len(taken),
                shards_total=self._replicas.shards,
                retry_after_seconds=5,
            )
        return json_response(AskedSnapshots(build.id, [AskedShard(*one) for one in sorted(taken.items())]), 202)

    async def verify_snapshots(self, request: Request) -> Response:
        """Have every byte of the newest snapshots read and hashed; the answer does not wait for it."""
        body = await decoded(request, VerificationRequest)
        _, build = self._serving()
        listed = await self._stored.snapshots(build, body.limit)
        return json_response(self._verification.ask(build, listed), 202)

    async def slots(self, _: Request) -> Response:
        """Both slots of the fleet with their builds, as S3 has them."""
        return json_response(await self._stored.slots())

    async def openapi(self, _: Request) -> Response:
        """The description of this API."""
        return Response(encoded(), media_type=JSON)

    async def status(self, _: Request) -> Response:
        """The slot's build, head, indexers, shards with their lag, and replicas, and what the build refuses."""
        await self._lag.look()
        shards = zip(self._replicas.status(), self._lag.all(), strict=True)
        return json_response(
            StatusAnswer(
                fleet=self._fleet,
                slot=self._slot,
                build=self.build_id or None,
                recipe=self.build.recipe if self.build else None,
                misconfigured=self._configuration.refused,
                head=self._lag.head,
                head_fault=self._lag.fault,
                lag_limit_seconds=self._lag.limit_seconds,
                indexing=self._indexing,
                indexers=self._replicas.indexers.status(),
                shards=[ShardStatus(number, lag, replicas) for number, (replicas, lag) in enumerate(shards)],
            )
        )
