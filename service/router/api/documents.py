"""Routes of documents: write, delete, look up and read them."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from functools import partial

from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.router.answers import LookupDocuments, WriteAnswer, WriteResult
from service.router.api.decoding import decoded, queried, refuse_body
from service.router.api.overload import Fullness, Reads
from service.router.api.requests import (
    DeletionQuery,
    DocumentQuery,
    DocumentWrite,
    LookupRequest,
    WriteRequest,
    checked_source_id,
)
from service.router.s3_view import S3View
from service.router.scatter import wait_seconds_for
from service.router.slot import Slot
from service.router.write_queue import CollectionsDropped, GroupCommits
from service.serving import json_response
from service.storage.collections import Collection
from service.storage.shards import shard_of
from service.wire.messages import ShardLookup
from service.wire.problems import Problem

# Attempts of a write to resolve the name of a collection that is dropped and created meanwhile.
NAME_ATTEMPTS = 3
WRITTEN = Counter("vectorfleet_router_documents_written_total", "Documents acknowledged")


class DocumentRoutes:
    """Everything under /v1/documents."""

    def __init__(self, slot: Slot, reads: Reads, commits: GroupCommits, s3_view: S3View) -> None:
        self._slot = slot
        self._reads = reads
        self._commits = commits
        self._s3_view = s3_view
        self._fullness = Fullness(slot.replicas)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/documents", self.write, methods=["POST"]),
            Route("/v1/documents/lookup", self.lookup, methods=["POST"]),
            Route("/v1/documents/{source_id:any}", self.document),
            Route("/v1/documents/{source_id:any}", self.delete, methods=["DELETE"]),
        ]

    async def write(self, request: Request) -> Response:
        """Store documents; the answer means that they are in S3."""
        body = await decoded(request, WriteRequest)
        body.check()
        return await self._store(body)

    async def delete(self, request: Request) -> Response:
        deletion = DocumentWrite.deletion(request.path_params["source_id"])
        await refuse_body(request)
        return await self._store(WriteRequest([deletion], collection=queried(request, DeletionQuery).collection))

    async def _store(self, body: WriteRequest) -> Response:
        if not all(write.delete for write in body.documents):
            self._fullness.check()
        for _ in range(NAME_ATTEMPTS):
            space = self._slot.space.within(await self._slot.collections.find(body.collection))
            space.check(body.model)
            documents = [write.document(space) for write in body.documents]
            with suppress(CollectionsDropped):
                places = await self._commits.write(documents)
                break
        else:
            raise Problem(
                503,
                f"collection {body.collection!r} was dropped and created again {NAME_ATTEMPTS} times meanwhile",
                outcome="not_written",
                retry_after_seconds=1,
            )
        WRITTEN.inc(len(documents))
        results = [
            WriteResult(document.source_id, document.request_id, place.item, place.position)
            for document, place in zip(documents, places, strict=True)
        ]
        return json_response(WriteAnswer(max(place.position for place in places), results))

    async def lookup(self, request: Request) -> Response:
        """Answer where documents were written, by every shard concerned; 503 unless all of them answer."""
        body = await decoded(request, LookupRequest)
        with self._reads.one():
            return json_response(await self._look_up(body))

    async def document(self, request: Request) -> Response:
        """Answer with a document as last written: nodes know its place, the documents log has the whole of it."""
        source_id = checked_source_id(request.path_params["source_id"])
        query = queried(request, DocumentQuery)
        with self._reads.one():
            found = await self._look_up(LookupRequest([source_id], query.min_position, query.collection))
            place = found.documents[source_id]
            if place is None:
                raise Problem(404, f"there is no document {source_id!r} as of position {found.position}")
            return json_response(await self._s3_view.document(place.position, place.item))

    async def _look_up(self, body: LookupRequest) -> LookupDocuments:
        return await self._slot.on_collection(body.collection, partial(self._look_up_in, body))

    async def _look_up_in(self, body: LookupRequest, collection: Collection) -> LookupDocuments:
        scatter, build = self._slot.serving()
        least = max(body.min_position, collection.id)
        by_shard: dict[int, list[str]] = defaultdict(list)
        for source_id in body.source_ids:
            by_shard[shard_of(source_id, self._slot.replicas.shards)].append(source_id)
        wait = wait_seconds_for(least)
        queries = {s: ShardLookup(build.id, ids, least, wait, collection.id) for s, ids in by_shard.items()}
        gathered = await scatter.lookup(queries)
        complete = sum(answer.complete for answer in gathered.answers.values())
        if complete < len(by_shard):
            raise gathered.incomplete(complete, len(by_shard), least)
        documents = dict.fromkeys(body.source_ids, None) | {
            source_id: found for answer in gathered.answers.values() for source_id, found in answer.documents.items()
        }
        return LookupDocuments(min(answer.position for answer in gathered.answers.values()), documents)
