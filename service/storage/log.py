"""An append-only log in a bucket: one object per entry, named by its number, with no leader and no lease.

S3 refuses the second writer of a number. The refused writer reads the winner's entry and appends behind it. A write
whose reply was lost is looked up under its append_id before anything else is decided.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal, NamedTuple

import pyarrow as pa

from service.storage.entry import Damaged, Entry, Header, decode, encode, in_oldest_format
from service.storage.objects import NoSuchKey, ObjectStore, PreconditionFailed, StoreError, Unanswered

APPEND_DEADLINE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.5
PREFETCH_ENTRIES = 8
LISTED_KEYS = 1000  # a page of S3, which takes one request
# A listing costs twelve times as much as a read of a missing key, so an idle reader lists ever more rarely.
FIRST_LOOK_MISSES, LOOK_MISSES = 8, 128
# A change of the fleet's documents as a whole, which the headers of all later entries name.
Change = Literal["collections", "voids"]
_NAME = re.compile(r"(\d{20})\.arrow")


class Hole(Damaged):
    """Entries `first` to `behind` - 1 of a log are missing, but entry `behind` exists."""

    def __init__(self, log: str, first: int, behind: int) -> None:
        which = f"entry {first} is" if behind == first + 1 else f"entries {first} to {behind - 1} are"
        super().__init__(f"{log} {which} missing, but entry {behind} is there")
        self.first, self.behind = first, behind


class AppendFailed(StoreError):
    """An append was not acknowledged before its deadline. `outcome` is "unknown" or "not_written"."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(f"{detail}; outcome {outcome}")
        self.outcome = outcome


class Tail(NamedTuple):
    """The newest entry that a reader or writer knows. Number 0 stands before the first.

    `collections` and `voids` are the newest entries of the documents log, up to this one, that changed the collections
    and that voided writes.
    """

    number: int = 0
    append_id: str = ""
    stamp_ms: int = 0
    end: int = 1
    collections: int = 0
    voids: int = 0


def tail_of(entry: Entry) -> Tail:
    """Return the tail of a log whose newest entry is `entry`."""
    header = entry.header
    return Tail(header.number, header.append_id, header.stamp_ms, header.end, header.collections, header.voids)


class Log:
    """The log `name` below `prefix` of a bucket, whose entries hold rows of `schema`.

    For a reader of a past state the head is never behind entry `until`.
    """

    def __init__(self, store: ObjectStore, prefix: str, name: str, schema: pa.Schema, until: int | None = None) -> None:
        self.store = store
        self.name = name
        self.schema = schema
        self.prefix = prefix
        self._until = until
        self._misses = 0

    def key(self, number: int) -> str:
        """Return the key of entry `number`."""
        return f"{self.prefix}{number:020d}.arrow"

    def read(self, number: int) -> Entry:
        """Read entry `number`; raise NoSuchKey, Unanswered or Damaged."""
        return decode(self.store.get(self.key(number)).body, log=self.name, number=number, schema=self.schema)

    def follow(self, tail: Tail) -> Iterator[Entry]:
        """Yield the entries after `tail`, up to the head, fetching several at a time.

        Raise Damaged if an entry does not name its predecessor, or is missing before a later one.
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
        """Yield these entries in order, and None at the log's end. Yield none behind the first that was missing."""
        for number, entry in zip(numbers, pool.map(self._read_or_none, numbers), strict=False):
            if entry is None:
                yield self._listed_after(number - 1)
                return
            yield entry

    def next_after(self, tail: Tail) -> Entry | None:
        """Return the entry after `tail`, or None if there is none yet. Not thread-safe.

        Raise Damaged as `follow` does, for a missing entry only after several calls in vain.
        """
        if self._until is not None and tail.number >= self._until:
            return None
        entry = self._read_or_none(tail.number + 1)
        if entry is None:
            self._misses += 1
            if not _is_time_to_look(self._misses):
                return None
            entry = self._listed_after(tail.number)
        if entry is not None:
            self._misses = 0
            check_link(entry, tail)
        return entry

    def _read_or_none(self, number: int) -> Entry | None:
        try:
            return self.read(number)
        except NoSuchKey:
            return None

    def _listed_after(self, number: int) -> Entry | None:
        """Return the entry after `number`, which was missing a moment ago; None if the store lists nothing behind
        `number`.

        Raise Damaged if later entries are listed, or entry `number` itself is gone.
        """
        if self._run_from(number) == Run(number, more=False):
            return None
        try:
            return self.read(number + 1)
        except NoSuchKey:
            raise Damaged(f"{self.name} entry {number + 1} was deleted while it was read") from None

    def head(self, hint: int = 0) -> int:
        """Find the number of the newest entry, starting from `hint`, the number of an existing entry (0: none known).

        Raise Damaged if a listing shows a gap. Gaps among numbers that the search skips are not noticed.
        """
        run = self._run_from(hint)
        low, beyond, step = run.last, 0, LISTED_KEYS
        while run.more and (not beyond or low < beyond):
            at = (low + beyond) // 2 if beyond else low + step
            run = self.run_behind(at)
            if at > low and run == Run(at, more=False):
                beyond, run = at, Run(low, more=True)
            else:
                low = run.last
            step *= 2
        return low if self._until is None else min(low, self._until)

    def tail(self, hint: int = 0) -> Tail:
        """Return the log's newest entry as a tail."""
        number = self.head(hint)
        return tail_of(self.read(number)) if number else Tail()

    def run_behind(self, number: int) -> Run:
        """Return the unbroken run of entries behind `number` that one listing shows. S3 lists everything written
        before.

        Raise Hole if a number is missing before a later one.
        """
        listed, last = self._numbers_behind(number), number
        for one in listed:
            if one != last + 1:
                # Both may have been written during the listing: only another listing proves which exists.
                behind = next(iter(self._numbers_behind(last)), one)
                if behind != last + 1:
                    raise Hole(self.name, last + 1, behind)
                return Run(last, more=True)
            last = one
        return Run(last, more=len(listed) == LISTED_KEYS)

    def _run_from(self, number: int) -> Run:
        """Do as `run_behind` does; also raise Damaged if entry `number`, which once existed, is gone."""
        run = self.run_behind(max(0, number - 1))
        if run.last < number:
            raise Damaged(f"{self.name} entry {number} was there and is missing now")
        return run

    def _numbers_behind(self, number: int) -> list[int]:
        """List the entries behind `number`, in order, at most one page. Other keys below the prefix don't count."""
        keys = self.store.keys(self.prefix, after=self.key(number))
        matches = (_NAME.fullmatch(key, len(self.prefix)) for key in keys)
        return list(islice((int(match[1]) for match in matches if match is not None), LISTED_KEYS))


class Run(NamedTuple):
    """Entries without a gap up to `last`. `more` is true if more may exist than were listed."""

    last: int
    more: bool


def _is_time_to_look(misses: int) -> bool:
    """Return true at misses 8, 16, 32, 64, 128, 256, 384 and so on.

    A reader that polls twice a second lists once a minute.
    """
    if misses < LOOK_MISSES:
        return misses >= FIRST_LOOK_MISSES and misses & (misses - 1) == 0
    return misses % LOOK_MISSES == 0


def check_link(entry: Entry, tail: Tail) -> None:
    """Raise Damaged unless `entry` directly follows `tail`, and a shard entry covers the next documents."""
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
    """One append to a log. `run()` returns the stored entry. `tail` is the newest entry met, also after a failure.

    With `span` (documents positions [start, end) of a shard entry), another writer's entry at its number ends the
    append with `NumberTaken`, because the rows must then be computed again.

    `rows` may be a function of the tail that the entry will follow. An exception from it ends the append, and nothing
    is stored. `changes` says what the rows change as a whole, if they are no documents.
    """

    def __init__(
        self,
        log: Log,
        tail: Tail,
        rows: pa.RecordBatch | Callable[[Tail], pa.RecordBatch],
        append_id: str,
        span: tuple[int, int] = (0, 0),
        *,
        changes: Change | None = None,
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
        """Append; raise AppendFailed at the deadline, and NumberTaken if a span lost its number."""
        until = time.monotonic() + deadline_seconds
        while time.monotonic() < until:
            entry = self._try_number()
            if entry is not None:
                return entry
            time.sleep(self._pause_seconds * random.uniform(0.5, 1.5))
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        raise AppendFailed(
            "unknown" if self._may_have_landed else "not_written",
            f"{self._log.name}: {self._append_id} was not appended within {deadline_seconds:g} s",
        )

    def run_at_head(self) -> Entry:
        """Append behind the newest entry that exists now, for rows that depend on what others have written."""
        try:
            self.tail = self._log.tail(self.tail.number)
        except (StoreError, Damaged) as error:
            raise AppendFailed("not_written", f"{self._log.name}: its head can't be found: {error}") from error
        return self.run()

    def _try_number(self) -> Entry | None:
        """Store at the next number, or learn what stands there; None means try again."""
        header, rows = self._header(), self._rows()
        written = in_oldest_format(Entry(header, rows))
        try:
            self._log.store.create(self._log.key(header.number), encode(written.header, written.rows))
            return Entry(written.header, rows)
        except PreconditionFailed:
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
            collections=number if self._changes == "collections" else self.tail.collections,
            voids=number if self._changes == "voids" else self.tail.voids,
        )

    def _rows(self) -> pa.RecordBatch:
        """Make the rows once for each number: a number must get the same bytes again."""
        if self._made is None or self._made[0] != self.tail.number:
            try:
                self._made = (self.tail.number, self._rows_after(self.tail))
            except (StoreError, Damaged) as error:
                raise AppendFailed(
                    "not_written", f"{self._log.name}: no rows for {self._append_id}: {error}"
                ) from error
        return self._made[1]

    def _stamp_ms(self) -> int:
        # Taken once for each number: a number must get the same bytes again.
        if self._stamp is None or self._stamp[0] != self.tail.number:
            self._stamp = (self.tail.number, self._log.store.clock.now_ms())
        return self._stamp[1]

    def _look_at(self, number: int) -> Entry | None:
        """Decide by the entry at `number`: ours, another writer's, or unknown."""
        try:
            entry = self._log.read(number)
        except (NoSuchKey, Unanswered):
            return None
        if entry.header.append_id == self._append_id:
            return entry
        # Another writer's entry proves that ours is not, and never will be, at this number.
        self._may_have_landed = False
        self._pause_seconds = FIRST_PAUSE_SECONDS
        if self._span != (0, 0):
            raise NumberTaken(entry)
        self.tail = self._newest_after(entry)
        return None

    def _newest_after(self, entry: Entry) -> Tail:
        """Return the log's tail behind `entry`: a writer that slept through many entries must not try each."""
        try:
            return self._log.tail(entry.header.number)
        except (NoSuchKey, Unanswered):
            return tail_of(entry)
        except Damaged as damage:
            raise AppendFailed("not_written", str(damage)) from damage


class NumberTaken(Exception):
    """Another writer's entry stands at the number; `entry` is the winner's."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"{entry.header.log} entry {entry.header.number} is {entry.header.append_id}'s")
        self.entry = entry
