"""Voids: entries of the documents log that name earlier writes, which count no more from there on.

Each such entry holds all voids up to it. A later void may name an earlier one, which then has no effect any more.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.storage.documents import Place
from service.storage.entry import Damaged, Entry
from service.storage.log import Log
from service.storage.writes import Write

LAST_ITEM = (1 << 31) - 1
MOST_VOIDS = 10_000  # an entry holds them all, and must stay below a commit's limit


class Void(msgspec.Struct, frozen=True):
    """A void at `position`: it names the writes from `first` to `last`, both included, that its conditions let through.

    Changes of the collections are no writes. A void without a condition also names the voids in its range.
    """

    position: int
    request_id: str
    first: Place
    last: Place
    only_deletes: bool = False
    source_prefix: str = ""
    collection: int | None = None

    def names(self, write: Write) -> bool:
        return (
            self._spans(write.place)
            and (write.delete or not self.only_deletes)
            and write.source.source_id.startswith(self.source_prefix)
            and self.collection in (None, write.source.collection)
        )

    def names_void(self, other: Void) -> bool:
        is_limited = self.only_deletes or self.source_prefix or self.collection is not None
        return not is_limited and self._spans(Place(other.position, 0))

    def _spans(self, place: Place) -> bool:
        return self.first <= place <= self.last and place.position < self.position

    @property
    def positions(self) -> range:
        return range(max(1, self.first.position), min(self.last.position + 1, self.position))


class Voids(msgspec.Struct, frozen=True):
    """All voids up to one position of the documents log, in order."""

    voids: list[Void] = []

    def effective(self) -> list[Void]:
        """Return the voids that no later effective one names, newest first."""
        found: list[Void] = []
        for one in reversed(self.voids):
            if not any(later.names_void(one) for later in found):
                found.append(one)
        return found

    def with_one(self, void: Void) -> Voids:
        return Voids([*self.voids, void])

    def of_request(self, request_id: str) -> Void | None:
        """Return the void that a request made, or None."""
        return next((one for one in self.voids if one.request_id == request_id), None)


def is_void(write: Write, effective: Sequence[Void]) -> bool:
    """Return whether one of the voids names a write."""
    return any(one.names(write) for one in effective)


def to_text(voids: Voids) -> str:
    """Return voids as they are stored in a log's row."""
    return msgspec.json.encode(voids).decode()


def voids_of(entry: Entry) -> Voids | None:
    """Return the voids that an entry of the documents log sets, or None; raise Damaged."""
    found = [text for text in entry.rows.column("void").to_pylist() if text]
    try:
        return msgspec.json.decode(found[-1], type=Voids) if found else None
    except msgspec.MsgspecError as error:
        raise Damaged(f"documents entry {entry.header.number}: its voids can't be read: {error}") from error


def voids_at(log: Log, number: int) -> Voids:
    """Return the voids that entry `number` of the documents log sets; entry 0 stands for none.

    Raise StoreError, and Damaged if that entry sets none.
    """
    voids = voids_of(log.read(number)) if number else Voids()
    if voids is None:
        raise Damaged(f"{log.name} entry {number}: sets no voids, but a later entry says that it does")
    return voids
