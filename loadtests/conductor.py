"""The side of a run that stands above its workers: registers, hands out shares, collects, judges."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment

from loadtests.arrivals import steady
from loadtests.doubts import find_doubts
from loadtests.evidence import EvidenceFolder, Registration, RunEvidence, read_run, write_json
from loadtests.gate import Judgement, judge
from loadtests.generator import RECORDS_MESSAGE, SearchUser
from loadtests.ledger import look_up
from loadtests.machine import Generator
from loadtests.orders import ORDERS_OPTION, orders
from loadtests.queries import QuerySet
from loadtests.settings import Load, Settings, SettingsError, base_url
from loadtests.tally import Tally, tally
from loadtests.writer import load_documents, source_id
from service.client import Client

_STARTUP_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class Conductor:
    """
    Conducts one run after another (the web interface may start several) and keeps the last judgement; ``busy`` from a
    run's start until it is judged.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._folder: EvidenceFolder | None = None
        self._ended: list[Generator] = []
        self._shares = 0
        self._present: list[str] = []
        self.busy = False
        self.judgement: Judgement | None = None
        self.tally: Tally | None = None
        self._runner.register_message(RECORDS_MESSAGE, self._collect)

    def begin(self) -> None:
        """Register the run, then hand out its shares. Raises SettingsError or EvidenceError before any request."""
        settings = Settings.from_options(self._environment.parsed_options)
        queries = query_mix(self._environment, settings.load)
        documents = load_documents(settings.load.documents, settings.load.seed)
        workers = self._workers()
        self._ended, self._shares = [], len(workers)
        folder = EvidenceFolder(_evidence_path(self._environment, settings))
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        host = base_url(str(self._environment.host))
        folder.register(Registration(host, settings, self._shares, queries.has_truth, started_at))
        # Those that this run will write may be there already: an earlier run of this seed wrote them.
        self._present = look_up(_client(host, settings.load), _planned(settings)) if queries.has_truth else []
        folder.keep_present(self._present)
        self._folder, self.busy = folder, True
        given = orders(str(folder.path), workers, settings, queries, documents)
        setattr(self._environment.parsed_options, ORDERS_OPTION, given)
        gevent.spawn(self._watch, settings)

    def conclude(self) -> bool:
        """Judge the run that is going on, if any; True when there was one."""
        if self._folder is None:
            return False
        folder, self._folder = self._folder, None
        folder.close(self._ended)
        folder.keep_present([*self._present, *_others_present(read_run(folder.path))])
        run = read_run(folder.path)
        settings, self.tally = run.registration.settings, tally(run)
        doubts = find_doubts([self.tally], settings.targets, settings.limits)
        self.judgement = judge([self.tally], settings.targets, doubts)
        write_json(folder.path / "verdict.json", self.judgement.as_json())
        self.busy = False
        return True

    def _workers(self) -> list[str]:
        clients = getattr(self._runner, "clients", None)
        if clients is None:
            return [self._runner.client_id]
        return [client.id for client in clients.all if client not in clients.missing]

    def _collect(self, environment: Environment, msg: Any) -> None:
        if self._folder is None or msg.data["run"] != str(self._folder.path):
            return
        for name, records in msg.data["records"].items():
            self._folder.add(name, records)
        if msg.data["ended"]:
            self._ended.append(Generator(**msg.data["ended"]))

    def _watch(self, settings: Settings) -> None:
        folder = self._folder
        longest_seconds = settings.run_seconds + 3 * settings.load.timeout_seconds + _STARTUP_SECONDS
        deadline_seconds = time.perf_counter() + longest_seconds
        while self._folder is folder and self._waiting() and time.perf_counter() < deadline_seconds:
            gevent.sleep(_LOOK_SECONDS)
        if self._folder is folder:
            self.stop()

    def _waiting(self) -> bool:
        clients = getattr(self._runner, "clients", None)
        missing = len(clients.missing) if clients is not None else 0
        return len(self._ended) < self._shares - missing

    def stop(self) -> None:
        """End the test as Locust would, without waiting for the shape's next tick."""
        if self._environment.parsed_options.headless and self._runner.shape_greenlet:
            self._runner.shape_greenlet.kill(block=False)
        else:
            self._runner.stop()


def _client(endpoint: str, load: Load) -> Client:
    return Client(endpoint, timeout_seconds=load.timeout_seconds, collection=load.collection)


def _planned(settings: Settings) -> list[str]:
    """The ids of the documents that a run will write."""
    load = settings.load
    batches = sum(1 for _ in steady(load.writes_per_second / load.write_batch, settings.run_seconds))
    return [source_id(load.seed, number) for number in range(batches * load.write_batch)]


def _others_present(run: RunEvidence) -> list[str]:
    """Look up what answers hold of other load tests and drills; this run's own documents its ledger knows."""
    settings, planned = run.registration.settings, set(_planned(run.registration.settings))
    found = {one for arrival in run.arrivals if arrival.ranking for one in arrival.ranking.others}
    return look_up(_client(run.registration.endpoint, settings.load), sorted(found - planned))


def refusal(environment: Environment, options: Any) -> str:
    """Say why a run with these options can't start; empty when it can."""
    if {options.num_users, options.spawn_rate} - {None, 1}:
        return (
            f"Users are {options.num_users or 1}, started at {options.spawn_rate or 1} a second; leave both out, or at "
            "1: searches arrive at --rate, and one user of each process sends them all."
        )
    try:
        settings = Settings.from_options(options)
        query_mix(environment, settings.load)
        load_documents(settings.load.documents, settings.load.seed)
        if environment.host:
            base_url(environment.host)
    except SettingsError as error:
        return str(error)
    return ""


def query_mix(environment: Environment, load: Load) -> QuerySet:
    """The questions of the one user class that runs. Raises SettingsError where that is no SearchUser."""
    classes = environment.user_classes
    if len(classes) != 1 or not issubclass(classes[0], SearchUser):
        raise SettingsError(
            f"The locustfile has the user classes {', '.join(one.__name__ for one in classes)}; one that derives from "
            "SearchUser has to run alone: name it at the end of the command line, or move the others."
        )
    mix: QuerySet = classes[0].query_mix(load)
    return mix


def _evidence_path(environment: Environment, settings: Settings) -> Path:
    if environment.parsed_options.evidence:
        return Path(environment.parsed_options.evidence)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Path(".rehearsal") / "load" / f"{stamp}-seed{settings.load.seed}"
