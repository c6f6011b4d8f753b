"""The place where the indexer appends to a shard log: behind its newest entry, or in a hole before later ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple
from uuid import uuid4

from service.storage.entry import Damaged, Entry
from service.storage.log import Hole, Log, Tail, check_link, tail_of
from service.storage.shards import Record

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """The next entry of a shard log: the documents positions [start, end) that it covers, under an append_id."""

    start: int
    end: int
    append_id: str


class GrowingEnd:
    """
    The end of one shard log. Entries that were lost are made again from the documents, under their old numbers.

    `island` is the first entry behind a hole. The numbers before it are filled so that it follows on them: the last of
    them gets the append_id that the island names, and ends where the island begins.
    """

    def __init__(self, shard_log: Log) -> None:
        self.log = shard_log
        self.tail = Tail()
        self._island: Entry | None = None
        self._held: list[Record] = []
        self._seen_whole = 0

    def find(self) -> None:
        """List the log behind the tail to its end, or to its first hole. Raises StoreError and Damaged."""
        number, more = self.tail.number, True
        self._island, self._held = None, []
        try:
            while more:
                number, more = self.log.run_behind(number)
        except Hole as hole:
            log.error("entries of a shard log are lost; they are indexed again", extra={"reason": str(hole)})
            number, self._island = hole.first - 1, self.log.read(hole.behind)
        if number > self.tail.number:
            self.tail = tail_of(self.log.read(number))

    def wants(self, end: int) -> bool:
        """Say whether there is an entry to append once documents before position `end` are at hand."""
        return self.tail.end < end or (self._island is not None and self.tail.end == self._island.header.start)

    def place(self, records: Sequence[Record], end: int) -> tuple[Place, list[Record]] | None:
        """
        The next entry with those of the shard's `records`, up to documents position `end` (exclusive), that it holds.

        None while the last number before the island has to wait for further documents.
        """
        at_hand = [record for record in (*self._held, *records) if record.position >= self.tail.end]
        if self._island is None:
            return Place(self.tail.end, end, uuid4().hex), at_hand
        island = self._island.header
        if self.tail.end > island.start:
            raise Damaged(
                f"{self.log.name} entry {self.tail.number} covers documents before {self.tail.end}, but entry "
                f"{island.number}, behind lost ones, begins at {island.start}"
            )
        is_last = self.tail.number == island.number - 2
        if is_last and end < island.start:
            self._held = at_hand
            return None
        end = min(end, island.start)
        append_id = island.predecessor if is_last else uuid4().hex
        return Place(self.tail.end, end, append_id), [record for record in at_hand if record.position < end]

    def grown(self, entry: Entry) -> None:
        """Go on behind `entry`, whoever appended it; behind the island and what follows it where it is the last."""
        self.tail = tail_of(entry)
        if self._island is not None and entry.header.number == self._island.header.number - 1:
            check_link(self._island, self.tail)
            self.tail = tail_of(self._island)
            self.find()

    def is_whole(self) -> bool:
        """
        Say whether the next thousand entries of the log, of those up to the tail, are all there.

        One listing; after the last entries it begins again with the first.
        """
        try:
            run = self.log.run_behind(self._seen_whole)
        except Hole:
            return False
        self._seen_whole = run.last if run.more else 0
        return run.more or run.last >= self.tail.number
