"""Crashes while log entries are applied, counted in S3, because neither memory nor disk survives them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import msgspec

from service.node.recovery import ShardStore
from service.storage.objects import PreconditionFailed

CRASH_LIMIT = 3
NOTES = "applying-*.json"


class PoisonousEntry(Exception):
    """A log entry has ended as many processes as it may."""


class CrashNote(msgspec.Struct, frozen=True):
    """The entry that a process is applying. `process` makes every try to count one crash write the same object."""

    entry: int
    process: str


class Crashes:
    """The crashes of one shard, one object `crashes/<entry>/<process>.json` each.

    A note on disk names the entry that a process is applying. A process that boots, serves nothing yet, and finds a
    note knows that its predecessor ended at that entry. All replicas share the count. It is forgotten once the entry
    was applied after all, and an operator lifts a block by deleting the objects.
    """

    def __init__(self, shard: ShardStore) -> None:
        self._shard = shard
        self._process = uuid4().hex
        self._note = shard.folder / NOTES.replace("*", self._process)
        self._prefix = f"{shard.prefix}crashes/"
        self._counts: Counter[int] = Counter()
        self.noting = True

    def collect(self) -> None:
        """Count the crashes of this node's earlier processes, and read all counts. Blocks."""
        for path in self._shard.folder.glob(NOTES):
            with contextlib.suppress(msgspec.MsgspecError):
                note = msgspec.json.decode(path.read_bytes(), type=CrashNote)
                with contextlib.suppress(PreconditionFailed):
                    self._shard.store.create(self._key(note), msgspec.json.encode(note))
            path.unlink(missing_ok=True)
        self.learn()

    def learn(self) -> None:
        """Read the counts. Blocks."""
        keys = self._shard.store.keys(self._prefix)
        numbers = (key.removeprefix(self._prefix).partition("/")[0] for key in keys)
        self._counts = Counter(int(number) for number in numbers if number.isdecimal())

    def check(self, entry: int) -> None:
        """Raise PoisonousEntry if `entry` has ended CRASH_LIMIT processes."""
        if self._counts[entry] >= CRASH_LIMIT:
            raise PoisonousEntry(
                f"{self._shard.log.name} entry {entry}: {self._counts[entry]} processes ended while applying it; "
                f"fix the cause, then delete {self._prefix}{entry:020d}/ in bucket {self._shard.store.bucket}"
            )

    @contextlib.contextmanager
    def applying(self, entry: int) -> Iterator[None]:
        """Count an end of the process as a crash under `entry` while this lasts, if the process is `noting`."""
        if not self.noting:
            yield
            return
        # A full disk is no reason to stop. Without the note, one crash goes uncounted.
        with contextlib.suppress(OSError):
            self._note.write_bytes(msgspec.json.encode(CrashNote(entry, self._process)))
        yield
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)

    def counted(self, upto: int) -> list[int]:
        """Return the entries up to `upto` that have a count."""
        return [entry for entry in self._counts if entry <= upto]

    def forget(self, entries: list[int]) -> None:
        """Delete the counts of entries that were applied after all. Blocks."""
        for entry in entries:
            for key in list(self._shard.store.keys(f"{self._prefix}{entry:020d}/")):
                self._shard.store.delete(key)
            del self._counts[entry]

    def _key(self, note: CrashNote) -> str:
        return f"{self._prefix}{note.entry:020d}/{note.process}.json"
