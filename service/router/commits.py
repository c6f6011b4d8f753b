"""Group commit: what arrives within a moment becomes one object of the documents log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
from prometheus_client import Counter, Histogram

from service import traces
from service.problems import Problem
from service.router.collections import Changing, Collections, Unchanged
from service.storage import conformance
from service.storage.collections import BadChange, NoCollection
from service.storage.documents import Document, documents_log, to_rows
from service.storage.entry import Damaged
from service.storage.first_places import FirstPlaces, Place, ids_of
from service.storage.log import Append, AppendFailed, Tail, tail_of
from service.storage.objects import ObjectStore, StoreError

GATHER_SECONDS = 0.02
COMMIT_BYTES = 8 << 20
QUEUE_BYTES = 32 << 20
CHANGE_BYTES = 128 << 10  # about what a hundred collections and as many dropped ones take at most
START_PAUSE_SECONDS = 1.0
# A tail as old as this may have been followed by entries that are lost by now: the next append looks first.
FRESH_TAIL_SECONDS = 1.0
IDLE_SECONDS = 1.0

COMMITS = Counter("vectorfleet_router_commits_total", "Objects appended to the documents log")
COMMIT_SECONDS = Histogram("vectorfleet_router_commit_seconds", "Time an append took")

log = logging.getLogger(__name__)


class Outdated(Exception):
    """Collections were dropped before documents of theirs could be stored; nothing of those was."""

    def __init__(self, collections: set[int]) -> None:
        super().__init__(f"collections {sorted(collections)} were dropped")
        self._collections = collections

    def concerns(self, documents: Sequence[Document]) -> bool:
        """Whether any of the documents was for one of them."""
        return any(document.collection in self._collections for document in documents)


class Repeated(Exception):
    """Every document of a commit was stored before; nothing has to be."""


class _Request(NamedTuple):
    """Documents to store; or none, and a change of the collections, which gets an entry of its own."""

    documents: Sequence[Document]
    change: Changing | None
    size_bytes: int
    places: asyncio.Future[list[Place]]
    span: traces.Span
    arrived: float


def size_bytes(documents: Sequence[Document]) -> int:
    """About what documents take in an entry."""
    texts = (text for d in documents for text in (d.source_id, d.request_id, d.title, d.text, d.metadata))
    return 64 * len(documents) + sum(len(d.vector) for d in documents) + sum(len(text.encode()) for text in texts)


class GroupCommits:
    """Writers wait here for their entry to be stored; one append is under way at a time."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._log = documents_log(store)
        self.collections = Collections(self._log)
        self._tail = Tail()
        self._tail_at = time.monotonic()
        self.damage = ""
        self._first = FirstPlaces(store)
        self._queue: asyncio.Queue[_Request] = asyncio.Queue()
        self._queued_bytes = 0
        self._held: _Request | None = None
        self.ready = False

    @property
    def head(self) -> int:
        """The newest position that this router knows."""
        return self._tail.number

    async def write(self, documents: Sequence[Document]) -> list[Place]:
        """
        Store documents in one commit; returns the place of each when they are in S3.

        A document whose request_id was stored before, by whatever router, is not stored again: its place is the first.

        Raises Problem: 413 for more than a commit holds, 429 while too much waits, 503 with the write's outcome; and
        Outdated where a document's collection has been dropped.
        """
        size = size_bytes(documents)
        if size > COMMIT_BYTES:
            raise Problem(413, f"the documents take {size} bytes, one request may take {COMMIT_BYTES}; send fewer")
        self._check_open(size)
        with traces.span("write", documents=len(documents), bytes=size) as span:
            places = await self._queued(documents, None, size, span)
            span.set(position=max(place.position for place in places))
            return places

    async def change(self, change: Changing) -> None:
        """
        Store a change of the collections; returns when it is in S3, or was so already.

        Raises Problem 429 and 503 as `write` does, and what the change itself raises.
        """
        self._check_open(CHANGE_BYTES)
        with traces.span("change collections") as span, suppress(Unchanged):
            (place,) = await self._queued([], change, CHANGE_BYTES, span)
            span.set(position=place.position)

    def _check_open(self, size: int) -> None:
        if not self.ready:
            raise Problem(503, "the documents log is not open yet", outcome="not_written", retry_after_seconds=1)
        if self._queued_bytes + size > QUEUE_BYTES:
            raise Problem(
                429,
                f"{self._queued_bytes} bytes wait to be stored, the limit is {QUEUE_BYTES}; send again later",
                outcome="not_written",
                retry_after_seconds=1,
            )

    async def _queued(
        self, documents: Sequence[Document], change: Changing | None, size: int, span: traces.Span
    ) -> list[Place]:
        places: asyncio.Future[list[Place]] = asyncio.get_running_loop().create_future()
        self._queued_bytes += size
        self._queue.put_nowait(_Request(documents, change, size, places, span, time.monotonic()))
        return await places

    async def run(self) -> None:
        """Open the log, then commit what arrives, for ever."""
        await self._open()
        while True:
            requests = await self._gather()
            if not requests:
                await self._follow()
                continue
            try:
                with traces.shared("commit", [one.span for one in requests], requests=len(requests)) as commit:
                    await self._commit(requests, commit)
            finally:
                self._queued_bytes -= sum(request.size_bytes for request in requests)

    async def _open(self) -> None:
        while not self.ready:
            try:
                await asyncio.to_thread(conformance.check, self._store)
                self._tail = await asyncio.to_thread(self._log.tail)
                await asyncio.to_thread(self._first.load)
                await asyncio.to_thread(self._first.advance, self.head, skip_damaged=True)
                self.ready, self.damage = True, ""
            except conformance.NotConforming:
                raise
            except (StoreError, Damaged) as error:
                self.damage = str(error) if isinstance(error, Damaged) else ""
                log.warning("the documents log can't be opened; trying again", extra={"reason": str(error)})
                await asyncio.sleep(START_PAUSE_SECONDS)
        log.info("the documents log is open", extra={"head": self.head})

    async def _follow(self) -> None:
        """Take in what other routers wrote, so that the next write has little to read first."""
        try:
            head = await asyncio.to_thread(self._log.head, self._first.number)
            await asyncio.to_thread(self._first.advance, head, skip_damaged=True)
        except (StoreError, Damaged) as error:
            log.warning("the documents log can't be followed; trying again", extra={"reason": str(error)})

    async def _gather(self) -> list[_Request]:
        """
        The first request, and what joins it within GATHER_SECONDS and COMMIT_BYTES; a change stays alone.

        Nothing where none comes within IDLE_SECONDS.
        """
        first, self._held = self._held, None
        if first is None:
            try:
                first = await asyncio.wait_for(self._queue.get(), IDLE_SECONDS)
            except TimeoutError:
                return []
        requests, total = [first], first.size_bytes
        if first.change is not None:
            return requests
        until = time.monotonic() + GATHER_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                request = await asyncio.wait_for(self._queue.get(), left)
            except TimeoutError:
                break
            if total + request.size_bytes > COMMIT_BYTES or request.change is not None:
                self._held = request
                break
            requests.append(request)
            total += request.size_bytes
        return requests

    async def _commit(self, requests: Sequence[_Request], commit: traces.Span) -> None:
        """Store them in one entry; whose collection is gone is told so, and the others are stored without it."""
        for request in requests:
            request.span.set(queued_seconds=time.monotonic() - request.arrived)
        while requests:
            try:
                await self._store_all(requests, commit)
                return
            except Outdated as outdated:
                for request in requests:
                    if outdated.concerns(request.documents):
                        _refuse(request, outdated)
                requests = [one for one in requests if not outdated.concerns(one.documents)]

    async def _store_all(self, requests: Sequence[_Request], commit: traces.Span) -> None:
        """Raises Outdated, of which nothing is stored; every other end is told to who waits for it."""
        documents, change = [document for one in requests for document in one.documents], requests[0].change
        commit.set(documents=len(documents))
        try:
            rows = change.rows if change is not None else self._checked(documents, to_rows(documents))
        except Exception as error:
            log.exception("documents could not be made an entry")
            self._fail(requests, error, "not_written")
            return
        append = Append(self._log, self._tail, rows, uuid4().hex, changes=change is not None)
        try:
            with COMMIT_SECONDS.time(), traces.span("append"):
                # Of a collection made behind the tail that is known nothing can be said there.
                unknown = change is not None or any(one.collection > self._tail.number for one in documents)
                is_old = time.monotonic() - self._tail_at >= FRESH_TAIL_SECONDS
                entry = await asyncio.to_thread(append.run_at_head if unknown or is_old else append.run)
        except (AppendFailed, StoreError, Damaged) as error:
            outcome = error.outcome if isinstance(error, AppendFailed) else "unknown"
            commit.set(outcome=outcome)
            self._fail(requests, error, outcome)
        except Outdated:
            raise
        except Repeated:
            self._acknowledge(requests)
        except (Unchanged, BadChange, NoCollection) as refusal:
            _refuse(requests[0], refusal)
        except Exception as error:
            self._fail(requests, error, "unknown")
            raise
        else:
            COMMITS.inc()
            commit.set(position=entry.header.number)
            append.tail, self._tail_at = tail_of(entry), time.monotonic()
            if change is None:
                # The end of a block is stored in S3, which searches must not wait for.
                await asyncio.to_thread(self._first.learn, entry.header.number, ids_of(entry))
                self._acknowledge(requests)
            elif not requests[0].places.cancelled():
                requests[0].places.set_result([Place(entry.header.number, 0)])
        finally:
            self._tail = append.tail

    def _checked(self, documents: Sequence[Document], rows: pa.RecordBatch) -> Callable[[Tail], pa.RecordBatch]:
        """
        The rows for any tail of the log: those of documents whose request_id was not stored up to there.

        Raises Outdated where a document's collection is not there, and Repeated where no row is left.
        """
        wanted = {document.collection for document in documents}

        def after(tail: Tail) -> pa.RecordBatch:
            registry = self.collections.learn(tail)
            if gone := {collection for collection in wanted if registry.get(collection) is None}:
                raise Outdated(gone)
            self._first.advance(tail.number, skip_damaged=True)
            new = self._new(documents)
            if not any(new):
                raise Repeated
            return rows if all(new) else rows.filter(pa.array(new))

        return after

    def _new(self, documents: Sequence[Document]) -> list[bool]:
        """Say whether each is the first of its request_id, in the log and among these."""
        met: set[tuple[int, str]] = set()
        new = []
        for document, first in zip(documents, self._first.places(documents), strict=True):
            name = (document.collection, document.request_id)
            new.append(first is None and name not in met)
            met.add(name)
        return new

    def _acknowledge(self, requests: Sequence[_Request]) -> None:
        for request in requests:
            if not request.places.cancelled():
                places = self._first.places(request.documents)
                request.places.set_result([place for place in places if place is not None])

    @staticmethod
    def _fail(requests: Sequence[_Request], error: Exception, outcome: str) -> None:
        log.error("commit failed", extra={"reason": str(error), "outcome": outcome})
        for request in requests:
            if not request.places.done():
                problem = Problem(503, str(error), outcome=outcome, retry_after_seconds=1)
                request.places.set_exception(problem)


def _refuse(request: _Request, reason: Exception) -> None:
    if not request.places.done():
        request.places.set_exception(reason)
