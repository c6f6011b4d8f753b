"""Freshness: the time from a write to a search that finds it, over writes at fixed instants."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

from runbooks.observe.canaries import Beacon, beacons, upsert
from runbooks.observe.exchange import CONNECTIONS, Exchange, Reply
from runbooks.observe.observer import delete_all
from vectorfleet.waiting import until

# Each write and its search have a thread and a connection.
MOST_WRITES = CONNECTIONS - 1
BATCH_DOCUMENTS = 100
# The service itself gives a write up after 15 s, and a search that waits for a position after 5 s.
TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Writes:
    """Writes to time, one each interval, and other documents that are written evenly meanwhile."""

    count: int
    beside: int
    interval_seconds: float
    within_seconds: float


@dataclass(frozen=True)
class Freshness:
    """Seconds from the due instant of a write to the answer that has it, over the writes that were found."""

    writes: int
    found: int
    median_seconds: float | None
    p95_seconds: float | None
    longest_seconds: float | None


def freshness(seconds: Sequence[float | None]) -> Freshness:
    """Sum up the times of all writes; None for a write that was not found. P95 is by nearest rank."""
    found = sorted(one for one in seconds if one is not None)
    if not found:
        return Freshness(len(seconds), 0, None, None, None)
    p95 = found[math.ceil(0.95 * len(found)) - 1]
    return Freshness(len(seconds), len(found), statistics.median(found), p95, found[-1])


def measure_freshness(endpoint: str, writes: Writes) -> Freshness:
    """Write at fixed instants, search for each write until it is found, and delete all documents."""
    exchange, name = Exchange(endpoint, TIMEOUT_SECONDS), f"probe-{uuid4().hex[:8]}"
    timed, others = beacons(name, writes.count), beacons(f"{name}-beside", writes.beside)
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(writes.count + 1) as executor:
            filling = executor.submit(_fill, exchange, others, began, writes)
            dues = [began + number * writes.interval_seconds for number in range(writes.count)]
            timing = [
                executor.submit(_time, exchange, beacon, due, writes.within_seconds)
                for beacon, due in zip(timed, dues, strict=True)
            ]
            filling.result()
            return freshness([one.result() for one in timing])
    finally:
        delete_all(exchange, name, [one.source_id for one in (*timed, *others)])


def _fill(exchange: Exchange, others: Sequence[Beacon], began: float, writes: Writes) -> None:
    batches = [others[first : first + BATCH_DOCUMENTS] for first in range(0, len(others), BATCH_DOCUMENTS)]
    for number, batch in enumerate(batches):
        _sleep_until(began + number * writes.count * writes.interval_seconds / len(batches))
        exchange.write_all([_document(one) for one in batch])


def _time(exchange: Exchange, beacon: Beacon, due: float, within_seconds: float) -> float | None:
    """
    Return the seconds from `due` until a search finds the document; None if none does in time.

    A write without an acknowledgement is sent again under its request id, as a caller does.
    """
    _sleep_until(due)
    deadline = due + within_seconds

    def write() -> Reply | None:
        reply = exchange.write(_document(beacon))
        return reply if reply.outcome == "acknowledged" else None

    written = until(write, deadline - time.monotonic(), POLL_SECONDS)
    if written is None:
        return None

    def search() -> bool:
        return exchange.search(beacon.text, beacon.source_id, written.position).outcome == "right"

    return time.monotonic() - due if until(search, deadline - time.monotonic(), POLL_SECONDS) else None


def _document(beacon: Beacon) -> dict[str, object]:
    return upsert(beacon.source_id, beacon.title, beacon.text, f"{beacon.source_id}-once").document


def _sleep_until(instant: float) -> None:
    time.sleep(max(0.0, instant - time.monotonic()))
