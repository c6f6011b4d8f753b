"""The end of a shard log, where the indexer appends: behind its newest entry, or in a hole before later ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple
from uuid import uuid4

from service.storage.entry import Damaged, Entry
from service.storage.log import Hole, Log, Tail, check_link, tail_of
from service.storage.shards import Record

log = logging.getLogger(__name__)


class NextEntry(NamedTuple):
    """The next entry of a shard log: the documents positions [start, end) that it covers, under an append_id."""

    start: int
    end: int
    append_id: str


class ShardLogEnd:
    """The end of one shard log. Lost entries are made again from the documents, under their old numbers.

    The island is the first entry behind a hole. The numbers before it are filled so that it follows them. The last of
    them gets the append_id that the island names, and ends where the island begins.
    """

    def __init__(self, shard_log: Log) -> None:
        self.log = shard_log
        self.tail = Tail()
        self._island: Entry | None = None
        self._held: list[Record] = []
        self._seen_whole = 0

    def find(self) -> None:
        """List the log behind the tail to its end, or to its first hole. Raise StoreError and Damaged."""
        number, more = self.tail.number, True
        self._island, self._held = None, []
        try:
            while more:
                number, more = self.log.run_behind(number)
        except Hole as hole:
            log.error("entries of a shard log are lost; indexing them again", extra={"reason": str(hole)})
            number, self._island = hole.first - 1, self.log.read(hole.behind)
        if number > self.tail.number:
            self.tail = tail_of(self.log.read(number))

    @property
    def held(self) -> list[Record]:
        """Records that wait for the last number before the island."""
        return self._held

    def needs(self, end: int) -> bool:
        """Return whether an entry can be appended once documents before position `end` are read."""
        return self.tail.end < end or (self._island is not None and self.tail.end == self._island.header.start)

    def place(self, records: Sequence[Record], end: int) -> tuple[NextEntry, list[Record]] | None:
        """Return the next entry, up to documents position `end` (exclusive), with those of `records` that it holds.

        Return None while the last number before the island has to wait for more documents.
        """
        at_hand = [record for record in (*self._held, *records) if record.made_at >= self.tail.end]
        if self._island is None:
            return NextEntry(self.tail.end, end, uuid4().hex), at_hand
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
        return NextEntry(self.tail.end, end, append_id), [record for record in at_hand if record.made_at < end]

    def advance(self, entry: Entry) -> None:
        """Go on behind `entry`, whichever indexer appended it. If it fills the hole, go on behind the island's run."""
        self.tail = tail_of(entry)
        if self._island is not None and entry.header.number == self._island.header.number - 1:
            check_link(self._island, self.tail)
            self.tail = tail_of(self._island)
            self.find()

    def is_whole(self) -> bool:
        """Return whether the next thousand entries of the log, up to the tail, all exist.

        This takes one listing. After the last entries it begins again with the first.
        """
        try:
            run = self.log.run_behind(self._seen_whole)
        except Hole:
            return False
        self._seen_whole = run.last if run.more else 0
        return run.more or run.last >= self.tail.number
