"""The outside observer: open-loop canaries with a ledger, in a process of its own.

At every due instant one search with a known answer and one write leave, each in its own thread, so that
a hanging request never delays the next instant. Due instants are never moved: what is sent late counts
from when it should have been sent.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from runbooks.canaries import Beacon, Write, WritePlan, beacons, delete, upsert
from runbooks.exchange import Exchange, Written
from runbooks.ledger import LedgerWriter

BEACONS = 8
IN_FLIGHT_LIMIT = 256
PLANT_DEADLINE_SECONDS = 60.0
PLANT_POLL_SECONDS = 0.2
SWEEP_BATCH = 200
LONGEST_SECONDS = 4 * 3600.0  # whatever is asked for, an observer ends


class ObserverError(Exception):
    """The observer cannot begin: the fleet does not answer what was just written."""


@dataclass(frozen=True)
class ObserverSettings:
    """`max_seconds` ends the observer whatever happens. `parent` is the process it must not outlive."""

    endpoint: str
    interval_seconds: float = 0.25
    timeout_seconds: float = 3.0
    max_seconds: float = 900.0
    parent: int | None = None
    plant_seconds: float = PLANT_DEADLINE_SECONDS


class Observer:
    """Plants beacons, then asks and writes until it is told to stop."""

    def __init__(self, settings: ObserverSettings, ledger: LedgerWriter, name: str) -> None:
        self.settings = settings
        self.name = name
        self._ledger = ledger
        self._exchange = Exchange(settings.endpoint, settings.timeout_seconds)
        self._plan = WritePlan(name)
        self._numbers = itertools.count(1)
        self._in_flight = threading.Semaphore(IN_FLIGHT_LIMIT)

    def run(self, stop: threading.Event) -> str:
        """Run until `stop`, the maximum duration or the parent's end; returns which of them it was.

        Raises ObserverError when the beacons are not found in time.
        """
        self._ledger.start(self.name, self.settings.endpoint, self.settings.interval_seconds)
        try:
            planted = self.plant(stop)
            self._ledger.ready()
            reason = self._beat(planted, stop)
        except ObserverError as error:
            self._ledger.stop(str(error))
            raise
        self._drain()
        self._ledger.stop(reason)
        return reason

    def plant(self, stop: threading.Event) -> list[Beacon]:
        """Write the beacons and wait until each is the first hit for its own text."""
        deadline = time.monotonic() + self.settings.plant_seconds
        planted = beacons(self.name, BEACONS)
        for beacon in planted:
            position = self._plant(beacon, deadline, stop)
            self._await_found(beacon, position, deadline, stop)
        return planted

    def _plant(self, beacon: Beacon, deadline: float, stop: threading.Event) -> int:
        while True:
            number = next(self._numbers)
            write = upsert(beacon.source_id, beacon.title, beacon.text, f"{self.name}-beacon-{number}")
            now = time.monotonic()
            self._ledger.intent(number, "upsert", now, write.source_id, write.content_hash, beacon=True)
            written = self._exchange.write(write.document)
            self._record(number, written)
            if written.position is not None:
                return written.position
            _pause(deadline, stop, f"the fleet does not take a write: {written.status} {written.detail}")

    def _await_found(self, beacon: Beacon, position: int, deadline: float, stop: threading.Event) -> None:
        while True:
            searched = self._exchange.search(beacon.text, beacon.source_id, position)
            if searched.outcome == "right":
                return
            why = f"{beacon.source_id} is not found: {searched.outcome}, {searched.status} {searched.detail}"
            _pause(deadline, stop, why)

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
            self._launch(due, "search", beacon.source_id, None, partial(self._ask, beacon))
            self._launch(due, write.kind, write.source_id, write.content_hash, partial(self._write, write))
            due += self.settings.interval_seconds
        raise AssertionError("beacons never run out")

    def _launch(
        self,
        due: float,
        kind: Literal["search", "upsert", "delete"],
        source_id: str,
        content_hash: str | None,
        send: Callable[[int], None],
    ) -> None:
        number = next(self._numbers)
        free = self._in_flight.acquire(blocking=False)

        def work() -> None:
            try:
                self._ledger.intent(number, kind, due, source_id, content_hash)
                if free:
                    send(number)
                else:
                    detail = f"unsent: {IN_FLIGHT_LIMIT} requests hang"
                    self._ledger.outcome(number, "failed", 0, detail, time.monotonic())
            finally:
                if free:
                    self._in_flight.release()

        threading.Thread(target=work, name=f"canary-{number}", daemon=True).start()

    def _ask(self, beacon: Beacon, number: int) -> None:
        searched = self._exchange.search(beacon.text, beacon.source_id)
        self._ledger.outcome(number, searched.outcome, searched.status, searched.detail, time.monotonic())

    def _write(self, write: Write, number: int) -> None:
        written = self._exchange.write(write.document)
        self._record(number, written)
        if written.outcome == "acknowledged":
            self._plan.settled(write)

    def _record(self, number: int, written: Written) -> None:
        self._ledger.outcome(
            number,
            written.outcome,
            written.status,
            written.detail,
            time.monotonic(),
            written.position,
            written.item,
        )

    def _drain(self) -> None:
        """Give what is in flight its own timeout to end; what does not end stays without outcome."""
        deadline = time.monotonic() + self.settings.timeout_seconds + 1.0
        for _ in range(IN_FLIGHT_LIMIT):
            if not self._in_flight.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return


def sweep(exchange: Exchange, name: str, source_ids: list[str]) -> int:
    """Delete what an observer wrote; returns how many deletes were acknowledged."""
    gone = 0
    for start in range(0, len(source_ids), SWEEP_BATCH):
        batch = source_ids[start : start + SWEEP_BATCH]
        deletes = [delete(source_id, f"{name}-sweep-{start + index}").document for index, source_id in enumerate(batch)]
        gone += sum(written.outcome == "acknowledged" for written in exchange.write_all(list(deletes)))
    return gone


def _pause(deadline: float, stop: threading.Event, why: str) -> None:
    if time.monotonic() >= deadline:
        raise ObserverError(why)
    if stop.wait(PLANT_POLL_SECONDS):
        raise ObserverError("told to stop before the beacons were found")
