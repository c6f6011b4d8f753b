"""Entries under which processes end, counted in S3, because neither memory nor disk outlives what they do."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import msgspec

from service.node.restore import ShardStore
from service.storage.objects import Refused

CRASH_LIMIT = 3
NOTES = "applying-*.json"


class Poisonous(Exception):
    """A log entry has ended as many processes as it may."""


class Note(msgspec.Struct, frozen=True):
    """Which entry a process is applying; `process` makes the count of one crash the same object at every try."""

    entry: int
    process: str


class Crashes:
    """
    The crashes of one shard, one object `crashes/<entry>/<process>.json` each.

    A note on disk says which entry a process is applying. Whoever boots where nobody serves and finds one knows that
    its process ended there. The count is shared by all replicas, forgotten once an entry was applied after all, and a
    person lifts a block by deleting the objects.
    """

    def __init__(self, shard: ShardStore) -> None:
        self._shard = shard
        self._process = uuid4().hex
        self._note = shard.folder / NOTES.replace("*", self._process)
        self._prefix = f"builds/{shard.build.id}/shard-{shard.shard:02d}/crashes/"
        self._counts: Counter[int] = Counter()
        self.noting = True

    def collect(self) -> None:
        """Count the crashes of the processes before this one, those that crashed, and learn all counts. Blocks."""
        for path in self._shard.folder.glob(NOTES):
            with contextlib.suppress(msgspec.MsgspecError):
                note = msgspec.json.decode(path.read_bytes(), type=Note)
                with contextlib.suppress(Refused):
                    self._shard.store.create(self._key(note), msgspec.json.encode(note))
            path.unlink(missing_ok=True)
        self.learn()

    def learn(self) -> None:
        """Read the counts anew. Blocks."""
        keys = self._shard.store.keys(self._prefix)
        numbers = (key.removeprefix(self._prefix).partition("/")[0] for key in keys)
        self._counts = Counter(int(number) for number in numbers if number.isdecimal())

    def check(self, entry: int) -> None:
        """Raise Poisonous where `entry` has ended CRASH_LIMIT processes."""
        if self._counts[entry] >= CRASH_LIMIT:
            raise Poisonous(
                f"{self._shard.log.name} entry {entry}: {self._counts[entry]} processes ended while they applied it; "
                f"mend what ended them, then delete {self._prefix}{entry:020d}/ in bucket {self._shard.store.bucket}"
            )

    @contextlib.contextmanager
    def applying(self, entry: int) -> Iterator[None]:
        """While this lasts the end of a process that is `noting` counts as a crash under `entry`."""
        if not self.noting:
            yield
            return
        # A full disk is no reason to stop; without the note one crash goes uncounted.
        with contextlib.suppress(OSError):
            self._note.write_bytes(msgspec.json.encode(Note(entry, self._process)))
        yield
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)

    def counted(self, upto: int) -> list[int]:
        """Entries not after `upto` that have a count."""
        return [entry for entry in self._counts if entry <= upto]

    def forget(self, entries: list[int]) -> None:
        """Drop the counts of entries that were applied after all. Blocks."""
        for entry in entries:
            for key in list(self._shard.store.keys(f"{self._prefix}{entry:020d}/")):
                self._shard.store.delete(key)
            del self._counts[entry]

    def _key(self, note: Note) -> str:
        return f"{self._prefix}{note.entry:020d}/{note.process}.json"
