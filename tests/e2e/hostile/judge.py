"""The verdict: everything that the clients saw, held against the raw log and against the fleet as it is in the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.e2e.hostile.raw_log import RawLog
from tests.e2e.hostile.workload import LONGEST_LAG_SECONDS, Looked, Notes, Searched


def violations(log: RawLog, notes: Notes, held: dict[str, dict[str, Any] | None]) -> list[str]:
    """
    Each broken promise as a sentence; none when all were kept.

    `held` is what the fleet holds of every document, as of the log's head.
    """
    found = [f"the documents log: {fault}" for fault in log.faults]
    found += _unwritten(log, notes)
    found += (reason for one in tuple(notes.looked) for reason in _misread(log, notes, one))
    found += _missed(log, notes)
    found += _miscounted(log, notes)
    found += _boasted(notes)
    found += _lost(log, held)
    return found


def _unwritten(log: RawLog, notes: Notes) -> Iterator[str]:
    """An acknowledgement names the place at which its request stands, the first one where it was repeated."""
    for one in notes.acknowledged:
        item = log.items.get(one.place)
        if item is None or item.request_id != one.request_id:
            yield f"{one.source_id}: acknowledged at {one.place}, where its request does not stand"
        elif log.first_of[one.request_id] != one.place:
            yield f"{one.source_id}: acknowledged at {one.place}, but it first stands at {log.first_of[one.request_id]}"


def _misread(log: RawLog, notes: Notes, looked: Looked) -> Iterator[str]:
    """A look-up at a position says what counted there, or what was written later."""
    yield from _too_early(notes, looked)
    at = log.state(looked.source_id, looked.position)
    possible = ([at] if at else [None]) + list(log.later(looked.source_id, looked.position))
    if looked.place is None:
        if not any(one is None or one.delete for one in possible):
            yield f"{looked.source_id}: not found as of {looked.position}, where {at.place if at else None} counts"
        return
    places = {one.place: one for one in possible if one is not None and not one.delete}
    if looked.place not in places:
        yield f"{looked.source_id}: found at {looked.place} as of {looked.position}, allowed are {sorted(places)[:4]}"
    elif places[looked.place].content_hash != looked.content_hash:
        yield f"{looked.source_id}: other content than was written at {looked.place}"


def _missed(log: RawLog, notes: Notes) -> Iterator[str]:
    """A complete exact search finds a document by its own text, unless it was written again since."""
    for one in tuple(notes.searched):
        yield from _too_early(notes, one)
        if one.position >= one.written and not one.found and not log.later(one.source_id, one.written):
            yield f"{one.source_id}: not found by its text in a complete answer as of {one.position}"


def _too_early(notes: Notes, one: Looked | Searched) -> Iterator[str]:
    """No answer lacks what was asked for, nor what is there for long while the fleet calls itself current."""
    if one.position < one.least:
        yield f"{one.source_id}: asked for at {one.least} or later, answered as of {one.position}"
    if one.position < one.settled and not notes.was_warned(one.at):
        yield (
            f"{one.source_id}: answered as of {one.position}, "
            f"when {one.settled} was acknowledged {LONGEST_LAG_SECONDS:g} s before"
        )


def _miscounted(log: RawLog, notes: Notes) -> Iterator[str]:
    """Of each counter every number stands once, in order, and whoever was told that it counts is in there."""
    for name, versions in log.counted.items():
        if name.startswith("hostile/counter/"):
            numbers = [int(version.text) for version in versions]
            if numbers != list(range(1, len(numbers) + 1)):
                yield f"{name}: counted {numbers[:20]}"
    for one in notes.counted:
        if one.place not in {version.place for version in log.counted.get(one.source_id, [])}:
            yield f"{one.source_id}: said to count at {one.place}, and does not"


def _boasted(notes: Notes) -> Iterator[str]:
    """A fleet that calls itself whole knows of everything that was acknowledged before."""
    for one in notes.claimed:
        if one.head < one.acknowledged:
            yield f"the fleet called itself whole at {one.head}, when {one.acknowledged} was acknowledged"


def _lost(log: RawLog, held: dict[str, dict[str, Any] | None]) -> Iterator[str]:
    """In the end the fleet holds of each document what counts at the log's head."""
    for name, versions in log.counted.items():
        last, found = versions[-1], held[name]
        if (found is None) != last.delete:
            yield f"{name}: {'lost' if found is None else 'back from the dead'} at the end, written at {last.place}"
        elif found is not None and (found["position"], found["item"]) != last.place:
            yield f"{name}: stands at {found['position']}, {found['item']} at the end, written at {last.place}"
