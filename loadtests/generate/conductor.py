"""The conductor of a run: it registers the run, hands out its shares, collects records and judges."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment

from loadtests.generate.generator import RECORDS_MESSAGE, SearchUser
from loadtests.generate.load_shares import SHARES_OPTION, LoadShare, hand_out
from loadtests.judge.gate import Judgement, judge
from loadtests.judge.recall import look_up
from loadtests.judge.tally import Tally, tally
from loadtests.judge.void_reasons import find_void_reasons
from loadtests.run.documents import load_documents, source_id
from loadtests.run.evidence import (
    EvidenceFolder,
    GeneratorReadings,
    Registration,
    RunEvidence,
    new_folder,
    read_run,
    write_json,
)
from loadtests.run.queries import QuerySet
from loadtests.run.schedule import steady
from loadtests.run.settings import Load, Settings, SettingsError, base_url
from service.client import Client, key_header
from vectorfleet.slots import slot_header
from vectorfleet.waiting import until

_STARTUP_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class Conductor:
    """The conductor of one run after another, since the web page may start several; it keeps the last judgement.

    It is ``busy`` from a run's start until the run is judged.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._folder: EvidenceFolder | None = None
        self._ended: list[GeneratorReadings] = []
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
        chosen = self._environment.parsed_options.evidence
        folder = EvidenceFolder(Path(chosen) if chosen else new_folder(f"seed{settings.load.seed}"))
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        host = base_url(str(self._environment.host))
        folder.register(Registration(host, settings, self._shares, queries.has_truth, started_at))
        # An earlier run of the same seed wrote the same documents.
        self._present = look_up(_client(host, settings.load).lookup, _planned(settings)) if queries.has_truth else []
        folder.keep_present(self._present)
        self._folder, self.busy = folder, True
        share = LoadShare(str(folder.path), self._shares, settings, queries, documents, _headers(settings.load))
        setattr(self._environment.parsed_options, SHARES_OPTION, hand_out(share, workers))
        gevent.spawn(self._watch, settings)

    def conclude(self) -> bool:
        """Judge the current run; return False if there is none."""
        if self._folder is None:
            return False
        folder, self._folder = self._folder, None
        folder.close(self._ended)
        folder.keep_present([*self._present, *_others_present(read_run(folder.path))])
        run = read_run(folder.path)
        settings, self.tally = run.registration.settings, tally(run)
        doubts = find_void_reasons([self.tally], settings.targets, settings.limits)
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
            self._ended.append(GeneratorReadings(**msg.data["ended"]))

    def _watch(self, settings: Settings) -> None:
        folder = self._folder
        longest_seconds = settings.run_seconds + 3 * settings.load.timeout_seconds + _STARTUP_SECONDS
        until(
            lambda: self._folder is not folder or self._all_ended(), longest_seconds, _LOOK_SECONDS, sleep=gevent.sleep
        )
        if self._folder is folder:
            self.stop()

    def _all_ended(self) -> bool:
        clients = getattr(self._runner, "clients", None)
        missing = len(clients.missing) if clients is not None else 0
        return len(self._ended) >= self._shares - missing

    def stop(self) -> None:
        """End the test as Locust does, without the wait for the shape's next tick."""
        if self._environment.parsed_options.headless and self._runner.shape_greenlet:
            self._runner.shape_greenlet.kill(block=False)
        else:
            self._runner.stop()


def _client(endpoint: str, load: Load) -> Client:
    return Client(endpoint, timeout_seconds=load.timeout_seconds, collection=load.collection, slot=load.slot)


def _headers(load: Load) -> dict[str, str]:
    return key_header() | slot_header(load.slot)


def _planned(settings: Settings) -> list[str]:
    """Return the ids of the documents that a run will write."""
    load = settings.load
    batches = sum(1 for _ in steady(load.writes_per_second / load.write_batch, settings.run_seconds))
    return [source_id(load.seed, number) for number in range(batches * load.write_batch)]


def _others_present(run: RunEvidence) -> list[str]:
    """Return the documents of other load tests and drills that the answers hold and the fleet has."""
    settings, planned = run.registration.settings, set(_planned(run.registration.settings))
    found = {one for arrival in run.arrivals if arrival.ranking for one in arrival.ranking.others}
    return look_up(_client(run.registration.endpoint, settings.load).lookup, sorted(found - planned))


def refusal(environment: Environment, options: Any) -> str:
    """Return why a run with these options cannot start, or an empty string."""
    if {options.num_users, options.spawn_rate} - {None, 1}:
        return (
            f"--users is {options.num_users or 1} and --spawn-rate is {options.spawn_rate or 1}; leave out both. The "
            "load is --rate, and one user of each process sends the whole share of the process."
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
    """Return the questions of the one user class that runs; raise SettingsError if that is not a SearchUser."""
    classes = environment.user_classes
    if len(classes) != 1 or not issubclass(classes[0], SearchUser):
        raise SettingsError(
            f"The locustfile has the user classes {', '.join(one.__name__ for one in classes)}; a subclass of "
            "SearchUser must run alone. Name it at the end of the command line, or move the others to another file."
        )
    mix: QuerySet = classes[0].query_mix(load)
    return mix
