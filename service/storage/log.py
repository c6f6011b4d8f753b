"""An append-only log in a bucket: one object per entry, named by its number, with no leader and no lease.

S3 refuses the second writer of a number, so whoever is refused reads the winner and goes on behind it. A write
whose reply never came is looked up under its append_id before anything else is decided.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import pyarrow as pa

from service.storage.entry import PLAIN_FORMAT, Damaged, Entry, Header, as_before, decode, encode
from service.storage.objects import Missing, ObjectStore, Refused, StoreError, Unanswered

APPEND_DEADLINE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.5
PREFETCH_ENTRIES = 8
# Looking behind the missing entry at every poll of an idle reader would double its requests.
MISSES_PER_SECOND_LOOK = 10


class AppendFailed(StoreError):
    """An append was not acknowledged before its deadline. `outcome` is "unknown" or "not_written"."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(f"{detail}; outcome {outcome}")
        self.outcome = outcome


class Tail(NamedTuple):
    """
    The newest entry that a reader or writer knows: number 0 stands before the first.

    `collections` is the newest entry of the documents log, up to it, that changed them.
    """

    number: int = 0
    append_id: str = ""
    stamp_ms: int = 0
    end: int = 1
    collections: int = 0


def tail_of(entry: Entry) -> Tail:
    """The tail that a log has when `entry` is its newest."""
    header = entry.header
    return Tail(header.number, header.append_id, header.stamp_ms, header.end, header.collections)


class Log:
    """A log named `name` below `prefix` of a bucket, whose entries hold rows of `schema`."""

    def __init__(self, store: ObjectStore, prefix: str, name: str, schema: pa.Schema) -> None:
        self.store = store
        self.name = name
        self.schema = schema
        self._prefix = prefix
        self._misses = 0

    def key(self, number: int) -> str:
        """Where entry `number` lies."""
        return f"{self._prefix}{number:020d}.arrow"

    def read(self, number: int) -> Entry:
        """Entry `number`; raises Missing, Unanswered or Damaged."""
        return decode(self.store.get(self.key(number)).body, log=self.name, number=number, schema=self.schema)

    def follow(self, tail: Tail) -> Iterator[Entry]:
        """
        The entries after `tail`, up to the head, several fetched at a time.

        Raises Damaged where an entry does not name its predecessor, or is missing before a later one.
        """
        with ThreadPoolExecutor(PREFETCH_ENTRIES) as pool:
            while True:
                numbers = range(tail.number + 1, tail.number + 1 + PREFETCH_ENTRIES)
                for entry in self._prefetched(pool, numbers):
                    if entry is None:
                        return
                    check_link(entry, tail)
                    tail = tail_of(entry)
                    yield entry

    def _prefetched(self, pool: ThreadPoolExecutor, numbers: range) -> Iterator[Entry | None]:
        """These entries in order, but none behind the first that was missing: that one is None at the log's end."""
        read = pool.map(self._read_or_none, numbers)
        for number, entry in zip(numbers, read, strict=False):
            if entry is None:
                later = next((other.header.number for other in read if other is not None), 0)
                yield self._second_look(number, later)
                return
            yield entry

    def _second_look(self, number: int, later: int = 0) -> Entry | None:
        """
        Entry `number`, which was missing a moment ago; None where the log ends before it.

        Entries are written in order: `later`, an entry known to exist (0: none known), proves that `number` was
        written, perhaps only just. Raises Damaged where it is missing all the same.
        """
        if not later:
            later = number + 1
            if not self.store.exists(self.key(later)):
                return None
        try:
            return self.read(number)
        except Missing:
            raise Damaged(f"{self.name} entry {number} is missing, but entry {later} is there") from None

    def next_after(self, tail: Tail) -> Entry | None:
        """
        The entry after `tail`, or None while there is none. Not for use by several threads.

        Raises Damaged like `follow`, for a missing entry only after some calls in vain.
        """
        entry = self._read_or_none(tail.number + 1)
        if entry is None:
            self._misses += 1
            if self._misses < MISSES_PER_SECOND_LOOK:
                return None
            entry = self._second_look(tail.number + 1)
        self._misses = 0
        if entry is not None:
            check_link(entry, tail)
        return entry

    def _read_or_none(self, number: int) -> Entry | None:
        try:
            return self.read(number)
        except Missing:
            return None

    def head(self, hint: int = 0) -> int:
        """
        The largest number of the log, found from `hint`, a number known to exist (0: none known).

        Raises Damaged where the number after the one found is missing, but not the next: an append would fill it.
        """
        low = self._gallop(hint)
        while self._second_look(low + 1) is not None:
            low = self._gallop(low + 1)
        return low

    def _gallop(self, low: int) -> int:
        """A number before a missing one: the largest of a log without gaps."""
        step = 1
        while self.store.exists(self.key(low + step)):
            low, step = low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.store.exists(self.key(middle)) else (low, middle)
        return low

    def tail(self, hint: int = 0) -> Tail:
        """The log's newest entry as a tail."""
        number = self.head(hint)
        return tail_of(self.read(number)) if number else Tail()


def check_link(entry: Entry, tail: Tail) -> None:
    """Raise Damaged unless `entry` follows directly on `tail`, and a shard entry covers what comes next."""
    header = entry.header
    if (header.number, header.predecessor) != (tail.number + 1, tail.append_id):
        raise Damaged(
            f"{header.log} entry {header.number}: follows {header.predecessor or 'nothing'}, "
            f"but entry {tail.number} is {tail.append_id or 'nothing'}"
        )
    if header.end and header.start != tail.end:
        raise Damaged(
            f"{header.log} entry {header.number}: covers documents from {header.start}, "
            f"but entry {tail.number} ends at {tail.end}"
        )


class Append:
    """
    One append on its way into a log: `run()` returns the entry that was stored. `tail` is the newest entry that
    the append has met, also after it failed.

    With `span` (documents positions [start, end) of a shard entry) the append gives way: another writer's
    entry at its number ends it with `Overtaken`, because what it covers must then be worked out anew.

    `rows` may be a function of the tail that the entry is to follow: what it raises ends the append, of which nothing
    was stored then. With `changes` the rows change which collections there are.
    """

    def __init__(
        self,
        log: Log,
        tail: Tail,
        rows: pa.RecordBatch | Callable[[Tail], pa.RecordBatch],
        append_id: str,
        span: tuple[int, int] = (0, 0),
        *,
        changes: bool = False,
    ) -> None:
        self._log = log
        self.tail = tail
        self._rows_after = rows if callable(rows) else lambda _: rows
        self._made: tuple[int, pa.RecordBatch] | None = None
        self._changes = changes
        self._append_id = append_id
        self._span = span
        self._stamp: tuple[int, int] | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._may_have_landed = False

    def run(self, deadline_seconds: float = APPEND_DEADLINE_SECONDS) -> Entry:
        """Append; raises AppendFailed at the deadline, Overtaken for a span that lost its number."""
        until = time.monotonic() + deadline_seconds
        while time.monotonic() < until:
            entry = self._try_number()
            if entry is not None:
                return entry
            time.sleep(self._pause_seconds * random.uniform(0.5, 1.5))
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        raise AppendFailed(
            "unknown" if self._may_have_landed else "not_written",
            f"{self._log.name}: no place for {self._append_id} in {deadline_seconds:g} s",
        )

    def run_at_head(self) -> Entry:
        """As `run`, for rows that depend on what others have written: behind the newest entry that there is now."""
        try:
            self.tail = self._log.tail(self.tail.number)
        except (StoreError, Damaged) as error:
            raise AppendFailed("not_written", f"{self._log.name}: its head is not found: {error}") from error
        return self.run()

    def _try_number(self) -> Entry | None:
        """Store at the next number, or learn what is there; None: try again."""
        header, rows = self._header(), self._rows()
        plain = None if header.collections else as_before(rows)
        if plain is not None:
            header = msgspec.structs.replace(header, format=PLAIN_FORMAT)
        body = encode(header, rows if plain is None else plain)
        try:
            self._log.store.create(self._log.key(header.number), body)
            return Entry(header, rows)
        except Refused:
            pass
        except Unanswered:
            self._may_have_landed = True
        return self._look_at(header.number)

    def _header(self) -> Header:
        start, end = self._span
        number = self.tail.number + 1
        return Header(
            log=self._log.name,
            number=number,
            append_id=self._append_id,
            predecessor=self.tail.append_id,
            stamp_ms=max(self.tail.stamp_ms, self._stamp_ms()),
            start=start,
            end=end,
            collections=number if self._changes else self.tail.collections,
        )

    def _rows(self) -> pa.RecordBatch:
        """Made once for a number, which must get the same bytes again."""
        if self._made is None or self._made[0] != self.tail.number:
            try:
                self._made = (self.tail.number, self._rows_after(self.tail))
            except (StoreError, Damaged) as error:
                raise AppendFailed(
                    "not_written", f"{self._log.name}: no rows for {self._append_id}: {error}"
                ) from error
        return self._made[1]

    def _stamp_ms(self) -> int:
        # The same number must get the same bytes again, so a number's stamp is taken once.
        if self._stamp is None or self._stamp[0] != self.tail.number:
            self._stamp = (self.tail.number, self._log.store.clock.now_ms())
        return self._stamp[1]

    def _look_at(self, number: int) -> Entry | None:
        """Decide by what stands at `number`: ours, another's, or nothing that can be told yet."""
        try:
            entry = self._log.read(number)
        except (Missing, Unanswered):
            return None
        if entry.header.append_id == self._append_id:
            return entry
        # Another's entry proves that ours is not, and never will be, at this number.
        self._may_have_landed = False
        self._pause_seconds = FIRST_PAUSE_SECONDS
        if self._span != (0, 0):
            raise Overtaken(entry)
        self.tail = self._newest_after(entry)
        return None

    def _newest_after(self, entry: Entry) -> Tail:
        """The log's tail, `entry` being in it: a writer that slept through many entries must not try each."""
        try:
            return self._log.tail(entry.header.number)
        except (Missing, Unanswered):
            return tail_of(entry)


class Overtaken(Exception):
    """Another writer's entry stands at the number; `entry` is the winner's."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"{entry.header.log} entry {entry.header.number} is {entry.header.append_id}'s")
        self.entry = entry
