"""The worker of a run, which offers its share of the schedule and hands in the records."""

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

from loadtests.generate.asking import UNSENT, Asker
from loadtests.generate.load_shares import LoadShare, take_share
from loadtests.generate.machine import MachineWatch, Pulse
from loadtests.generate.null_endpoint import NullEndpoint
from loadtests.generate.open_loop import OpenLoop
from loadtests.run.evidence import Arrival, GeneratorReadings, Probe, WriteBatch
from loadtests.run.queries import QuerySet, load_queries
from loadtests.run.schedule import Due, poisson, share_of, steady
from loadtests.run.settings import Load, Settings, base_url

RECORDS_MESSAGE = "vectorfleet-records"
REPORT_SECONDS = 0.5
_WRITES_IN_FLIGHT = 8
_LEAD_SECONDS = 0.02


@dataclass
class Outbox:
    """Records that are not handed in yet."""

    arrivals: list[Arrival] = field(default_factory=list)
    floor: list[Probe] = field(default_factory=list)
    writes: list[WriteBatch] = field(default_factory=list)

    def empty(self) -> dict[str, list[dict[str, Any]]]:
        """Return all records as plain values, and forget them."""
        taken = {name: [asdict(record) for record in records] for name, records in vars(self).items()}
        for records in vars(self).values():
            records.clear()
        return taken


class SearchUser(FastHttpUser):  # type: ignore[misc]  # locust is outside the types
    """The scheduler of a process, not one client: it offers the whole share of the process and then ends."""

    abstract = True
    host: str | None = None

    def __init__(self, environment: Environment) -> None:
        load = Settings.from_options(environment.parsed_options).load
        # The session's default of ten connections would be a queue in front of the service.
        self.concurrency = load.flight_cap + _WRITES_IN_FLIGHT
        self.connection_timeout = self.network_timeout = load.timeout_seconds
        self.host = base_url(str(self.host))
        super().__init__(environment)

    @classmethod
    def query_mix(cls, load: Load) -> QuerySet:
        """Return the questions, once before each run; a subclass may make them instead of reading a file."""
        return load_queries(load.queries, load.k)

    @task  # type: ignore[untyped-decorator]  # locust is outside the types
    def offer(self) -> None:
        """Offer the share, then end the user."""
        if share := take_share(self.environment):
            Offering(self, share).work()
        raise StopUser


class Offering:
    """The offering of a share: searches, probes of the null endpoint and, for the first share, writes."""

    def __init__(self, user: SearchUser, share: LoadShare) -> None:
        self._share, self._runner = share, user.environment.runner
        self._settings = share.settings
        load = self._settings.load
        self._outbox = Outbox()
        self._null = NullEndpoint() if load.null_rate else None
        self._watch = MachineWatch(share.share)
        self._pulse = Pulse()
        self._epoch_seconds = time.perf_counter() + _LEAD_SECONDS
        self._ask = Asker(
            user.client, self._epoch_seconds, share.queries, load.timeout_seconds, share.headers, load.collection
        )

    def work(self) -> None:
        """Offer everything, wait for the last answer, and hand in the last records."""
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
            share_of(planned, self._share.share, self._share.shares),
            send,
            unsent=lambda due: keep(replace(self._ask.unsent(due), lag_ms=loop.lag_ms(due))),
        )
        loop.drain(2 * load.timeout_seconds)

    def _probe(self) -> None:
        load, null = self._settings.load, self._null
        if not null:
            return
        rate, stream = load.null_rate / self._share.shares, f"null-{self._share.share}"
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
        if self._share.share or not load.writes_per_second:
            return
        size, keep = load.write_batch, self._outbox.writes.append
        loop = OpenLoop(_WRITES_IN_FLIGHT, self._epoch_seconds)

        def send(due: Due) -> None:
            before_ms, first = self._pulse.stalled_ms, due.number * size
            batch = self._ask.write(due, self._share.documents.batch(first, size), first)
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

    def _hand_in(self, readings: GeneratorReadings | None = None) -> None:
        """Send the records to the conductor; ``readings`` mark the end."""
        ended = asdict(readings) if readings else None
        records = self._outbox.empty()
        self._runner.send_message(RECORDS_MESSAGE, {"run": self._share.run, "records": records, "ended": ended})
