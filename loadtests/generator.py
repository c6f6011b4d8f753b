"""The worker's side of a run: its share of the schedule, what it sends, and the records it hands in."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import gevent
from locust import FastHttpUser, task
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.event import EventHook
from locust.exception import StopUser

from loadtests.arrivals import Arrival, Due, Probe, poisson, share_of, steady
from loadtests.asking import UNSENT, Asker
from loadtests.evidence import WriteBatch
from loadtests.machine import Generator, Watch
from loadtests.null_endpoint import NullEndpoint
from loadtests.open_loop import OpenLoop
from loadtests.orders import Order, take_order
from loadtests.pulse import Pulse
from loadtests.queries import QuerySet, load_queries
from loadtests.settings import Load, Settings, base_url

RECORDS_MESSAGE = "vectorfleet-records"
REPORT_SECONDS = 0.5
_WRITES_IN_FLIGHT = 8
_LEAD_SECONDS = 0.02


@dataclass
class Outbox:
    """Records not yet handed in."""

    arrivals: list[Arrival] = field(default_factory=list)
    floor: list[Probe] = field(default_factory=list)
    writes: list[WriteBatch] = field(default_factory=list)

    def empty(self) -> dict[str, list[dict[str, Any]]]:
        """Take everything out, as plain values."""
        taken = {name: [asdict(record) for record in records] for name, records in vars(self).items()}
        for records in vars(self).values():
            records.clear()
        return taken


class SearchUser(FastHttpUser):  # type: ignore[misc]  # locust is outside the types
    """One scheduler, not one client: it offers this process's whole share of the arrivals and then is done."""

    abstract = True
    host: str | None = None

    def __init__(self, environment: Environment) -> None:
        load = Settings.from_options(environment.parsed_options).load
        # The session's own default of ten connections would be a queue in front of the service.
        self.concurrency = load.flight_cap + _WRITES_IN_FLIGHT
        self.connection_timeout = self.network_timeout = load.timeout_seconds
        self.host = base_url(str(self.host))
        super().__init__(environment)

    @classmethod
    def query_mix(cls, load: Load) -> QuerySet:
        """Choose the questions, once before each run; a class of your own may make them instead of reading a file."""
        return load_queries(load.queries, load.k)

    @task  # type: ignore[untyped-decorator]  # locust is outside the types
    def offer(self) -> None:
        """Offer the share; ends the user."""
        order = take_order(self.environment)
        if order:
            Offering(self, order).work()
        raise StopUser


class Offering:
    """One share being offered: searches, probes of the null endpoint, and, on the first share, writes."""

    def __init__(self, user: SearchUser, order: Order) -> None:
        self._order, self._runner = order, user.environment.runner
        self._settings = order.settings
        load = self._settings.load
        self._outbox = Outbox()
        self._documents = order.documents
        self._null = NullEndpoint() if load.null_rate else None
        self._watch = Watch(order.share)
        self._pulse = Pulse()
        self._epoch_seconds = time.perf_counter() + _LEAD_SECONDS
        self._ask = Asker(
            user.client, self._epoch_seconds, order.queries, load.timeout_seconds, order.headers, load.collection
        )

    def work(self) -> None:
        """Offer everything, wait for the last answer, hand in the rest."""
        aides = [gevent.spawn(self._report), gevent.spawn(self._pulse.run)]
        sides = [gevent.spawn(self._probe), gevent.spawn(self._write)]
        try:
            self._search()
            gevent.joinall(sides)
            self._hand_in(self._watch.finish())
        finally:
            gevent.killall([*aides, *sides])
            if self._null:
                self._null.close()

    def _search(self) -> None:
        load, keep = self._settings.load, self._outbox.arrivals.append
        planned = poisson(load.rate, self._settings.run_seconds, load.seed)
        loop = OpenLoop(load.flight_cap, self._epoch_seconds)

        def send(due: Due) -> None:
            before_ms = self._pulse.stalled_ms
            self._ask.search(due, lambda found: keep(replace(found, stalled_ms=self._pulse.stalled_ms - before_ms)))

        loop.offer(
            share_of(planned, self._order.share, self._order.shares),
            send,
            unsent=lambda due: keep(replace(self._ask.unsent(due), lag_ms=loop.lag_ms(due))),
        )
        loop.drain(2 * load.timeout_seconds)

    def _probe(self) -> None:
        load, null = self._settings.load, self._null
        if not null:
            return
        rate, stream = load.null_rate / self._order.shares, f"null-{self._order.share}"
        planned = poisson(rate, self._settings.run_seconds, load.seed, stream)
        loop = OpenLoop(load.flight_cap, self._epoch_seconds)
        keep = self._outbox.floor.append
        # With events of its own, so that Locust's statistics hold requests to the service alone.
        limits = {"connection_timeout": load.timeout_seconds, "network_timeout": load.timeout_seconds}
        session = FastHttpSession(null.url, EventHook(), None, concurrency=load.flight_cap, **limits)
        loop.offer((due for due, _ in planned), lambda due: keep(self._ask.probe(due, session)), lambda due: None)
        loop.drain(load.timeout_seconds)

    def _write(self) -> None:
        load = self._settings.load
        if self._order.share or not load.writes_per_second:
            return
        size, keep = load.write_batch, self._outbox.writes.append
        loop = OpenLoop(_WRITES_IN_FLIGHT, self._epoch_seconds)

        def send(due: Due) -> None:
            before_ms, first = self._pulse.stalled_ms, due.number * size
            batch = self._ask.write(due, self._documents.batch(first, size), first)
            keep(replace(batch, stalled_ms=self._pulse.stalled_ms - before_ms))

        def unsent(due: Due) -> None:
            lag_ms = loop.lag_ms(due)
            keep(WriteBatch(due.number * size, due.offset_seconds, size, 0, None, reason=UNSENT, lag_ms=lag_ms))

        loop.offer(steady(load.writes_per_second / size, self._settings.run_seconds), send, unsent)
        loop.drain(2 * load.timeout_seconds)

    def _report(self) -> None:
        while True:
            gevent.sleep(REPORT_SECONDS)
            self._hand_in()

    def _hand_in(self, worker: Generator | None = None) -> None:
        """Send the records to whoever conducts the run; ``worker`` marks the end."""
        ended = asdict(worker) if worker else None
        records = self._outbox.empty()
        self._runner.send_message(RECORDS_MESSAGE, {"run": self._order.run, "records": records, "ended": ended})
