"""The outside observer: open-loop canaries with a ledger, in a process of its own.

At every due instant it sends one search with a known answer and one write. Each has its own thread, so that a hanging
request never delays the next instant. Due instants never move: a late request counts from its due instant.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from runbooks.observe.canaries import Beacon, Write, WritePlan, beacons, delete, upsert
from runbooks.observe.exchange import Exchange, Reply
from runbooks.observe.ledger import Kind, Ledger, LedgerWriter
from vectorfleet.refusal import Failure
from vectorfleet.waiting import until

BEACONS = 8
IN_FLIGHT_LIMIT = 256
PLANT_DEADLINE_SECONDS = 60.0
PLANT_POLL_SECONDS = 0.2
SWEEP_BATCH = 200
LONGEST_SECONDS = 4 * 3600.0  # an observer ends after this, whatever its settings


class ObserverError(Failure):
    """The observer can't begin, because the fleet does not find what was just written."""


@dataclass(frozen=True)
class ObserverSettings:
    """Settings of an observer. It ends after `max_seconds`, and never outlives the process `parent`."""

    endpoint: str
    interval_seconds: float = 0.25
    timeout_seconds: float = 3.0
    max_seconds: float = 900.0
    parent: int | None = None
    slot: str = ""
    plant_seconds: float = PLANT_DEADLINE_SECONDS


class Observer:
    """An observer that plants beacons, then searches and writes until it is stopped."""

    def __init__(self, settings: ObserverSettings, ledger: LedgerWriter, name: str) -> None:
        self.settings = settings
        self.name = name
        self._ledger = ledger
        self._exchange = Exchange(settings.endpoint, settings.timeout_seconds, settings.slot)
        self._plan = WritePlan(name)
        self._numbers = itertools.count(1)
        self._in_flight = threading.Semaphore(IN_FLIGHT_LIMIT)

    def run(self, stop: threading.Event) -> str:
        """Run until `stop`, the maximum duration or the parent's end, and return which of them it was.

        Raises ObserverError when the beacons are not found in time.
        """
        self._ledger.start(self.name, self.settings.endpoint, self.settings.interval_seconds)
        try:
            planted = self._plant_all(stop)
            self._ledger.ready()
            reason = self._beat(planted, stop)
        except ObserverError as error:
            self._ledger.stop(str(error))
            raise
        self._drain()
        self._ledger.stop(reason)
        return reason

    def _plant_all(self, stop: threading.Event) -> list[Beacon]:
        """Write the beacons and wait until each is the first hit for its own text."""
        deadline = time.monotonic() + self.settings.plant_seconds
        planted = beacons(self.name, BEACONS)
        for beacon in planted:
            self._plant(beacon, deadline, stop)
        return planted

    def _plant(self, beacon: Beacon, deadline: float, stop: threading.Event) -> None:
        written = _until(lambda: self._write_beacon(beacon), lambda one: one.position is not None, deadline, stop)
        if written.position is None:
            raise ObserverError(f"the fleet does not take a write: {written.status} {written.detail}")

        def search() -> Reply:
            return self._exchange.search(beacon.text, beacon.source_id, written.position)

        found = _until(search, lambda one: one.outcome == "right", deadline, stop)
        if found.outcome != "right":
            raise ObserverError(f"{beacon.source_id} is not found: {found.outcome}, {found.status} {found.detail}")

    def _write_beacon(self, beacon: Beacon) -> Reply:
        number = next(self._numbers)
        write = upsert(beacon.source_id, beacon.title, beacon.text, f"{self.name}-beacon-{number}")
        self._ledger.intent(number, "upsert", time.monotonic(), write.source_id, write.content_hash, beacon=True)
        written = self._exchange.write(write.document)
        self._ledger.outcome(number, written)
        return written

    def _beat(self, planted: list[Beacon], stop: threading.Event) -> str:
        due = time.monotonic()
        end = due + self.settings.max_seconds
        for beacon in itertools.cycle(planted):
            if stop.wait(max(0.0, due - time.monotonic())):
                return "told to stop"
            if time.monotonic() >= end:
                return f"the maximum of {self.settings.max_seconds:g} s is over"
            if self.settings.parent is not None and os.getppid() != self.settings.parent:
                return "its parent is gone"
            write = self._plan.next()
            self._launch(due, "search", beacon.source_id, None, partial(self._search, beacon))
            self._launch(due, write.kind, write.source_id, write.content_hash, partial(self._write, write))
            due += self.settings.interval_seconds
        raise AssertionError("beacons never run out")

    def _launch(
        self, due: float, kind: Kind, source_id: str, content_hash: str | None, send: Callable[[int], None]
    ) -> None:
        number = next(self._numbers)
        free = self._in_flight.acquire(blocking=False)

        def work() -> None:
            try:
                self._ledger.intent(number, kind, due, source_id, content_hash)
                if free:
                    send(number)
                else:
                    self._ledger.outcome(number, Reply("failed", 0, f"unsent: {IN_FLIGHT_LIMIT} requests hang"))
            finally:
                if free:
                    self._in_flight.release()

        threading.Thread(target=work, name=f"canary-{number}", daemon=True).start()

    def _search(self, beacon: Beacon, number: int) -> None:
        self._ledger.outcome(number, self._exchange.search(beacon.text, beacon.source_id))

    def _write(self, write: Write, number: int) -> None:
        written = self._exchange.write(write.document)
        self._ledger.outcome(number, written)
        if written.outcome == "acknowledged":
            self._plan.settled(write)

    def _drain(self) -> None:
        """Wait for requests in flight as long as they may take; the others keep no outcome."""
        deadline = time.monotonic() + self.settings.timeout_seconds + 1.0
        for _ in range(IN_FLIGHT_LIMIT):
            if not self._in_flight.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return


def _until(send: Callable[[], Reply], good: Callable[[Reply], bool], deadline: float, stop: threading.Event) -> Reply:
    """Send until the reply is good or the deadline is over, and return the last one. Raises ObserverError at `stop`."""
    replies: list[Reply] = []

    def look() -> bool:
        if stop.is_set():
            raise ObserverError("told to stop before the beacons were found")
        replies.append(send())
        return good(replies[-1])

    until(look, deadline - time.monotonic(), PLANT_POLL_SECONDS, sleep=stop.wait)
    return replies[-1]


def sweep(exchange: Exchange, ledger: Ledger) -> int:
    """Delete the documents that an observer wrote, and return the number of acknowledged deletes."""
    return delete_all(exchange, ledger.name, ledger.source_ids)


def delete_all(exchange: Exchange, name: str, source_ids: Sequence[str]) -> int:
    """Delete documents under request ids that begin with `name`, and return the number of acknowledged deletes."""
    requests = (delete(source_id, f"{name}-sweep-{index}").document for index, source_id in enumerate(source_ids))
    batches = iter(lambda: list(itertools.islice(requests, SWEEP_BATCH)), [])
    return sum(reply.outcome == "acknowledged" for batch in batches for reply in exchange.write_all(batch))
