"""Which collections there are, as a router knows it from the documents log."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa

from service.problems import Problem
from service.storage.collections import Change, Collection, NoCollection, Registry, registry_at, to_text
from service.storage.documents import Document, to_rows
from service.storage.entry import Damaged
from service.storage.log import Log, Tail, tail_of
from service.storage.objects import StoreError

Make = Callable[[Registry, int], Change]


class Known(NamedTuple):
    """The registry that the entry at `position` set."""

    position: int
    registry: Registry


class Unchanged(Exception):
    """Nothing has to be done for a change: it is so already."""


class Collections:
    """
    The registry as of the newest change that this router has met; others may have changed it since.

    Who appends learns of every change before its entry, so a write never relies on what has changed. A name that is not
    known is looked for in the log before anybody is told that there is no such collection.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known = Known(0, Registry())
        self._head = 0
        self._looked_at = float("-inf")
        self._failure: StoreError | Damaged | None = None
        self._turn = asyncio.Lock()
        self._learning = threading.Lock()

    @property
    def registry(self) -> Registry:
        """What is known."""
        return self._known.registry

    def learn(self, tail: Tail) -> Registry:
        """The registry as of a tail of the documents log. Blocks where it has changed; raises StoreError or Damaged."""
        known = self._known
        if tail.collections != known.position:
            known = Known(tail.collections, registry_at(self._log, tail.collections))
        with self._learning:
            # Another thread may have learned of a later one.
            self._known = max(self._known, known, key=lambda one: one.position)
            self._head = max(self._head, tail.number)
        return known.registry

    async def find(self, reference: str) -> Collection:
        """The collection of a name, or of name@id; raises Problem 404 or 410, or 503 where the log can't be read."""
        try:
            return self.registry.find(reference)
        except NoCollection:
            return await self.find_anew(reference)

    async def find_anew(self, reference: str) -> Collection:
        """As `find`, by what the log says now."""
        await self.refresh()
        try:
            return self.registry.find(reference)
        except NoCollection as error:
            raise missing(error) from error

    async def without_change(self, make: Make) -> Change | None:
        """
        What a change comes to where, by what the log says now, it changes nothing; None where it does.

        Raises what `make` raises, and Problem 503.
        """
        position = await self.refresh()
        registry = self.registry
        made = make(registry, position + 1)
        return made if made.registry == registry else None

    async def refresh(self) -> int:
        """
        Learn what the log says now; returns a position up to which that is so. Raises Problem 503.

        Who asks while another look is under way shares the next, also one that fails: while S3 does not answer each
        would have to wait for those before it.
        """
        asked = time.monotonic()
        async with self._turn:
            if self._looked_at < asked:
                looked_at = time.monotonic()
                self._failure = await asyncio.to_thread(self._look)
                self._looked_at = looked_at
            if self._failure is not None:
                raise Problem(
                    503,
                    f"the collections can't be read: {self._failure}",
                    outcome="not_written",
                    retry_after_seconds=1,
                ) from self._failure
            return self._head

    def _look(self) -> StoreError | Damaged | None:
        """What kept it from learning anything, if so."""
        try:
            # The newest entry may be large, and who asks for what isn't there may ask often.
            if (number := self._log.head(self._head)) > self._head:
                self.learn(tail_of(self._log.read(number)))
        except (StoreError, Damaged) as error:
            return error
        return None


class Changing:
    """One change of the registry on its way into the documents log; `made` is what it came to."""

    def __init__(self, collections: Collections, make: Make) -> None:
        """`make` gets a registry and the position that the change will have; what it raises ends the change."""
        self._collections, self._make = collections, make
        self.made: Change | None = None

    def rows(self, tail: Tail) -> pa.RecordBatch:
        """The rows of the entry after `tail`; raises Unchanged where there is nothing to write. Blocks."""
        registry = self._collections.learn(tail)
        self.made = self._make(registry, tail.number + 1)
        if self.made.registry == registry:
            raise Unchanged
        return to_rows([Document(uuid4().hex, "", registry=to_text(self.made.registry))])


def missing(error: NoCollection) -> Problem:
    """404 for a collection that never was, 410 for one that was dropped."""
    if error.dropped_at:
        return Problem(410, f"{error}; create it again, or name another")
    return Problem(404, f"{error}; GET /v1/collections says which there are")
