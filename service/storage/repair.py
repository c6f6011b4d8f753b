"""The documents that a void changes: their last writes that count, without it and with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from service.storage.sources import Source
from service.storage.voids import Void, Voids, is_void
from service.storage.writes import Write, last_of, settles

ReadWrites = Callable[[Sequence[int]], Iterable[Write]]
FindPositions = Callable[[Set[Source], int], Iterator[list[int]]]


class Change(NamedTuple):
    """A document whose last write differs with a void; None if there is no document."""

    source: Source
    before: Write | None
    after: Write | None


class Repair(NamedTuple):
    """The writes that count no more or again, and the documents that differ therefore, in the order of their sources.

    `voids` are the earlier voids that lose or regain their effect.
    """

    writes: list[Write]
    voids: list[Void]
    changes: list[Change]


def repair_of(
    before: Voids, after: Voids, read: ReadWrites, find: FindPositions, exists: Callable[[int], bool]
) -> Repair:
    """Return the repair of the newest of the voids `after`, at whose position the fold must be that without its writes.

    `read` returns the writes at some positions, `find` the positions of given sources. Only collections that `exists`
    knows have documents.
    """
    old, new = before.effective(), after.effective()
    position = after.voids[-1].position
    turned = {*old} ^ {*new}
    positions = sorted({number for one in turned for number in one.positions})
    writes = [write for write in read(positions) if is_void(write, old) != is_void(write, new)]
    touched = {write.source for write in writes if exists(write.source.collection)}
    chains = _chains(touched, position, read, find, (old, new))
    folded = (
        Change(
            source,
            last_of(write for write in chains[source] if not is_void(write, old)),
            last_of(write for write in chains[source] if not is_void(write, new)),
        )
        for source in sorted(touched)
    )
    return Repair(
        sorted(writes),
        sorted((one for one in turned if one.position != position), key=lambda one: one.position),
        [change for change in folded if change.before != change.after],
    )


def _chains(
    touched: Set[Source], before: int, read: ReadWrites, find: FindPositions, settings: Sequence[Sequence[Void]]
) -> dict[Source, list[Write]]:
    """Return the writes of each source that decide about it, in order: back to one that settles it in each setting."""
    chains: dict[Source, list[Write]] = defaultdict(list)
    open_ = [set(touched) for _ in settings]
    wanted = set(touched)
    for positions in find(wanted, before):
        for write in read(positions):
            if write.source in wanted:
                chains[write.source].append(write)
                for left, voids in zip(open_, settings, strict=True):
                    if settles(write) and not is_void(write, voids):
                        left.discard(write.source)
        wanted.intersection_update(set[Source]().union(*open_))
        if not wanted:
            break
    return {source: sorted(chains[source]) for source in touched}
