"""The undo of a range of writes: the documents that it would change, and the void on its way into the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

import msgspec
import pyarrow as pa

from service.router.collections import NoChange
from service.storage.collections import BadChange, registry_at
from service.storage.documents import Document, Place, documents_log, to_rows
from service.storage.log import Change, Log, Tail
from service.storage.objects import ObjectStore
from service.storage.point_in_time import Moment, position_at
from service.storage.repair import Repair, repair_of
from service.storage.sources import Sources
from service.storage.voids import LAST_ITEM, MOST_VOIDS, Void, Voids, to_text, voids_at
from service.storage.writes import documents_reader
from service.wire.problems import Problem

Bound = int | str
# A node applies all of a void's records at once, and answers no search meanwhile.
MOST_DOCUMENTS = 10_000
SHORTEST_TIME = timedelta(milliseconds=1)


class Range(NamedTuple):
    """A range of places, both ends included, up to the documents log's `head`; `around` its ends if they were times."""

    first: Place
    last: Place
    head: Tail
    around: list[Moment]


class Planned(NamedTuple):
    """A void with the repair that it makes; `is_stored` if its request was answered before."""

    void: Void
    repair: Repair
    is_stored: bool


class Undoing:
    """Plans of voids by the documents log alone, so that writes can be undone before they are indexed. Blocks."""

    def __init__(self, documents: ObjectStore) -> None:
        self.log = documents_log(documents)
        self._sources = Sources(documents)

    def range_of(self, first: Bound, last: Bound) -> Range:
        """Resolve both ends. Raise Problem 422 for a range that is empty or not in the log, StoreError and Damaged."""
        around: list[Moment] = []
        head = self.log.tail()
        places = self._place(first, around, begins=True), self._place(last, around, begins=False)
        if not Place(1, 0) <= places[0] <= places[1] or places[1].position > head.number:
            raise Problem(
                422,
                f"the range from {first} to {last} is positions {places[0].position} to {places[1].position}; give one "
                f"within 1 and {head.number}, the newest position, that does not end before it begins",
            )
        return Range(*places, head, around)

    def _place(self, bound: Bound, around: list[Moment], *, begins: bool) -> Place:
        item = 0 if begins else LAST_ITEM
        if isinstance(bound, int):
            return Place(bound, item)
        position, dot, number = bound.partition(".")
        if position.isdecimal() and (number.isdecimal() or not dot):
            return Place(int(position), int(number) if dot else item)
        try:
            at = datetime.fromisoformat(bound)
        except ValueError:
            at = datetime.min
        if at.tzinfo is None:
            raise Problem(
                422,
                f"{bound!r} is neither a position nor a time; give 42, 42.3 for item 3 of entry 42, or a time with its "
                "zone, like 2026-11-24T14:05:00Z",
            )
        # A range begins with the first entry at its time, and ends with the last.
        found = position_at(self.log, at - SHORTEST_TIME if begins else at)
        around.extend(found.around)
        return Place(found.position + begins, item)

    def plan(self, void: Void, head: Tail) -> Planned:
        """Return the repair of a void behind the head, or of the one that its request made before.

        Raise Problem 409 if it changes no write, and 422 if it touches too many documents.
        """
        before = voids_at(self.log, head.voids)
        stored = before.of_request(void.request_id)
        if stored is not None:
            void, before = stored, Voids(before.voids[: before.voids.index(stored)])
        else:
            void = msgspec.structs.replace(void, position=head.number + 1)
        registry = registry_at(self.log, head.collections)
        repair = repair_of(
            before,
            before.with_one(void),
            documents_reader(self.log),
            self._sources.positions,
            lambda collection: registry.get(collection) is not None,
        )
        if stored is None:
            _check(repair)
        return Planned(void, repair, stored is not None)


def _check(repair: Repair) -> None:
    if not repair.writes:
        raise Problem(
            409,
            "the range has no write that this would take out or bring back: none matches the conditions, or an earlier "
            "undo has done it; look with dry_run and a wider range",
        )
    touched = len({write.source for write in repair.writes})
    if touched > MOST_DOCUMENTS:
        raise Problem(
            422,
            f"the range has writes of {touched} documents, and nodes apply at most {MOST_DOCUMENTS} at once; undo "
            "shorter ranges, the newest first",
            limit=MOST_DOCUMENTS,
        )


class VoidChange:
    """A void on its way into the documents log; `made` is the stored one."""

    kind: Change = "voids"

    def __init__(self, log: Log, void: Void) -> None:
        self._log, self.made = log, void

    def rows(self, tail: Tail) -> pa.RecordBatch:
        """Return the rows of the entry after `tail`; raise NoChange if its request was stored before. Blocks."""
        voids = voids_at(self._log, tail.voids)
        if (stored := voids.of_request(self.made.request_id)) is not None:
            self.made = stored
            raise NoChange
        if len(voids.voids) >= MOST_VOIDS:
            raise BadChange(f"{len(voids.voids)} undos were made, which is the most allowed")
        self.made = msgspec.structs.replace(self.made, position=tail.number + 1)
        return to_rows([Document(uuid4().hex, "", void=to_text(voids.with_one(self.made)))])


def written_at(moment: Moment) -> str:
    """Return a moment's time in UTC, as ISO 8601."""
    return moment.written_at.astimezone(UTC).isoformat()
