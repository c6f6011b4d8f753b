"""A real fleet of 2 × 2: its API, I4 under killed, frozen and slow replicas, and bad days of the store."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from service.client import Client, ServiceError, Unanswered
from service.storage.documents import documents_log, from_entry, to_rows
from service.storage.log import Append, Tail, tail_of
from service.storage.objects import ObjectStore
from service.storage.shards import shard_of
from tests.wire.service_fleet import (
    Member,
    ServiceFleet,
    aws_environment,
    booted_fleet,
    documents,
    eventually,
    get,
    s3_faults,
)

Connect = Callable[[str], Any]
SUBJECTS = ("stopping machines", "sharing pictures", "paying bills", "sending letters")
NAMES = [f"note/{number}" for number in range(12)]


@pytest.fixture(scope="module")
def fleet(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """The fleet, with an indexer and two routers."""
    with booted_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=2, replicas=2, routers=2) as one:
        yield one


@pytest.fixture(autouse=True)
def _whole(fleet: ServiceFleet) -> None:
    """Every test finds all processes running and ready."""
    for member in fleet.members:
        if member.child is None:
            member.start()
    fleet.await_ready()


@pytest.fixture
def client(fleet: ServiceFleet) -> Client:
    """A client of the first router."""
    return fleet.client()


@pytest.mark.parametrize("role", ["routers", "indexers", "nodes"])
def test_every_process_serves_health_readiness_and_metrics(fleet: ServiceFleet, role: str) -> None:
    member: Member = getattr(fleet, role)[0]
    assert get(f"{member.url}/healthz")[::2] == (200, b'{"status":"ok"}')
    status, kind, body = get(f"{member.url}/readyz")
    assert (status, kind, json.loads(body)["ready"]) == (200, "application/json", True)
    status, kind, body = get(f"{member.url}/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert f"vectorfleet_{member.role}_".encode() in body


@pytest.mark.parametrize("role", ["routers", "indexers", "nodes"])
def test_an_unknown_path_is_a_problem(fleet: ServiceFleet, role: str) -> None:
    status, kind, body = get(f"{getattr(fleet, role)[0].url}/v2/nowhere")
    assert (status, kind) == (404, "application/problem+json")
    assert json.loads(body)["detail"] == "GET /v2/nowhere: Not Found"


def _post(url: str, body: bytes, method: str = "POST") -> tuple[int, str, dict[str, Any]]:
    request = urllib.request.Request(url, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], json.loads(error.read())


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/v1/documents", b"", 422, "the body is not a WriteRequest"),
        ("/v1/documents", b'{"documents":[{"source_id":"a"}]}', 422, "title and text are empty"),
        ("/v1/documents", b" " * ((16 << 20) + 1), 413, "the body is larger than 16777216 bytes"),
        ("/v1/documents/lookup", b'{"source_ids":[]}', 422, "`array` of length >= 1"),
        ("/v1/search", b"{}", 422, "give either text or vector"),
        ("/v1/search", b'{"text":"a","min_position":99999999999999999999}', 422, "min_position"),
        ("/v1/search", b'{"vector":[1.0]}', 422, "the vector has 1 components; 256 are required"),
        ("/v1/search", b'{"text":"a","model":"other/1"}', 409, "this slot serves model wordllama/0.4.0.post1"),
    ],
)
def test_a_bad_request_is_a_problem_with_a_sentence(
    fleet: ServiceFleet, path: str, body: bytes, status: int, sentence: str
) -> None:
    answered, kind, problem = _post(fleet.routers[0].url + path, body)
    assert (answered, kind) == (status, "application/problem+json")
    assert problem["status"] == status
    assert problem["title"]
    assert sentence in problem["detail"]
    assert "Traceback" not in str(problem)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", b"not msgpack at all"])
def test_a_node_refuses_what_is_no_query_with_a_problem(fleet: ServiceFleet, body: bytes) -> None:
    for path in ("/search", "/lookup"):
        status, kind, problem = _post(fleet.nodes[0].url + path, body)
        assert (status, kind) == (422, "application/problem+json")
        assert "not a Shard" in problem["detail"]


def test_a_document_is_written_found_updated_and_deleted(fleet: ServiceFleet, client: Client) -> None:
    written = client.write([{"source_id": "pets/cat", "title": "Cats", "text": "A cat sleeps on the warm roof."}])
    found = client.search(text="cat sleeping on a roof", min_position=written["position"])
    assert found["hits"][0]["source_id"] == "pets/cat"
    assert (found["shards_answered"], found["partial"]) == (2, False)
    assert found["position"] >= written["position"]
    place = client.lookup(["pets/cat"], min_position=written["position"])["documents"]["pets/cat"]
    assert (place["position"], place["item"]) == (written["position"], written["results"][0]["item"])
    updated = client.write([{"source_id": "pets/cat", "title": "Cats", "text": "A cat drinks milk."}])
    hit = client.search(text="cat sleeping on a roof", min_position=updated["position"])["hits"][0]
    assert hit["text"] == "A cat drinks milk."
    status, _, deleted = _post(f"{fleet.routers[1].url}/v1/documents/pets/cat", b"", "DELETE")
    assert status == 200
    assert client.lookup(["pets/cat"], min_position=deleted["position"])["documents"] == {"pets/cat": None}
    assert _post(f"{fleet.routers[0].url}/v1/documents/", b"", "DELETE")[0] in (404, 422)


def test_one_of_many_writes_on_a_condition_counts(fleet: ServiceFleet) -> None:
    writers = [fleet.client(number % 2) for number in range(6)]
    place = {"position": 0, "item": 0}
    with ThreadPoolExecutor(len(writers)) as pool:
        for turn in range(4):
            wanted = {"source_id": "counter", "title": f"turn {turn}", "if_position": place["position"]}
            mine = [wanted | {"text": f"written by writer {number}"} for number in range(len(writers))]
            acks = list(pool.map(lambda one, what: one.write([what]), writers, mine))
            places = [(ack["position"], ack["results"][0]["item"]) for ack in acks]
            held = writers[0].lookup(["counter"], min_position=max(places)[0])["documents"]["counter"]
            # Each of them was written, and the first in the log is the one that found what it asked for.
            assert (held["position"], held["item"]) == min(places)
            place = held
    late = writers[0].write([{"source_id": "counter", "delete": True, "if_position": 0}])
    held = writers[1].lookup(["counter"], min_position=late["position"])["documents"]["counter"]
    assert held["position"] == place["position"]


@pytest.mark.parametrize("name", ["line\nbreak", "ends\n", "a/b?c#d", "a\u2028", "ü %2F"])
def test_a_document_of_any_name_is_deleted_and_no_other(fleet: ServiceFleet, client: Client, name: str) -> None:
    client.write(documents([name, name.strip() + "!", name.strip()], "names of any kind"))
    path = f"{fleet.routers[0].url}/v1/documents/{urllib.parse.quote(name, safe='')}"
    request = urllib.request.Request(path, method="DELETE")
    with urllib.request.urlopen(request, timeout=10) as answer:
        position = json.load(answer)["position"]
    held = client.lookup([name, name.strip() + "!", name.strip()], min_position=position)["documents"]
    assert held.pop(name) is None
    assert all(held.values())


def test_documents_are_found_by_metadata_and_return_it(client: Client) -> None:
    notes = documents([f"year/{year}" for year in range(2000, 2024)], "years")
    written = client.write(
        [
            note | {"metadata": {"year": 2000 + number, "leap": number % 4 == 0, "kind": "note"}}
            for number, note in enumerate(notes)
        ]
    )
    wanted = {"kind": "note", "year": {"gte": 2010, "lt": 2022}, "leap": True}
    found = client.search(text="years", k=10, min_position=written["position"], filter=wanted)
    assert {hit["source_id"] for hit in found["hits"]} == {"year/2012", "year/2016", "year/2020"}
    assert found["hits"][0]["metadata"].keys() == {"year", "leap", "kind"}
    assert client.search(text="years", filter={"kind": "letter"})["hits"] == []
    with pytest.raises(ServiceError, match="the filter on 'year' has 'between'; allowed: eq, in, gt"):
        client.search(text="years", filter={"year": {"between": [1, 2]}})
    with pytest.raises(ServiceError, match="65 fields of metadata; at most 64 are allowed"):
        client.write([{"source_id": "x", "text": "x", "metadata": {str(n): n for n in range(65)}}])


def test_exact_and_vector_search_agree_with_text_search(client: Client) -> None:
    position = client.write(documents(NAMES, "sorting apples and pears"))["position"]
    approximate = client.search(text="apples and pears", k=5, min_position=position)["hits"]
    assert client.search(text="apples and pears", k=5, exact=True, min_position=position)["hits"] == approximate
    with pytest.raises(ServiceError, match="not be all zeros"):
        client.search(vector=[0.0] * 256)
    assert len(client.search(vector=[1.0] + [0.0] * 255, k=5)["hits"]) == 5


def test_a_write_whose_reply_the_store_lost_has_one_effect(fleet: ServiceFleet, emulator: str, client: Client) -> None:
    request_id = uuid4().hex
    document = documents(["once"], "only once")[0] | {"request_id": request_id}
    with s3_faults(emulator, {"method": "PUT", "bucket": fleet.documents, "fault": "lost_reply", "count": 1}):
        place = client.write([document])
    assert client.write([document]) == place
    newer = client.write(documents(["once"], "something newer"))
    assert client.write([document]) == place
    assert place["position"] < newer["position"]
    held = client.lookup(["once"], min_position=newer["position"])["documents"]["once"]
    assert held["position"] == newer["position"]


def test_a_repeated_condition_is_told_the_first_place(fleet: ServiceFleet) -> None:
    conditional = {"source_id": "leader", "title": "taken", "if_position": 0, "request_id": uuid4().hex}
    other = {"source_id": "other", "title": "beside it", "request_id": uuid4().hex}
    first = fleet.client(0).write([conditional])
    between = fleet.client(1).write(documents(["between"], "something else"))
    fleet.routers[1].kill()
    fleet.routers[1].start()
    fleet.await_ready()
    assert fleet.client(1).write([conditional]) == first
    batch = fleet.client(1).write([other, conditional])
    (new, repeated), place = batch["results"], first["results"][0]
    assert repeated == place
    assert batch["position"] == new["position"] > between["position"] > first["position"]
    assert fleet.client(0).write([other, conditional]) == batch
    held = fleet.client(0).lookup(["leader"], min_position=batch["position"])["documents"]["leader"]
    assert (held["position"], held["item"]) == (place["position"], place["item"])


def _refused(call: Callable[[], object]) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        call()
    return refused.value


def test_a_store_that_refuses_writes_leaves_reads_correct(fleet: ServiceFleet, emulator: str) -> None:
    rule = {"method": "PUT", "bucket": fleet.documents, "fault": "unavailable", "count": 100_000}
    client = fleet.client(1, timeout_seconds=40)
    head = client.status()["head"]
    with s3_faults(emulator, rule), ThreadPoolExecutor(3) as pool:
        write = pool.submit(_refused, lambda: client.write(documents(["never"], "lost")))
        search = pool.submit(_refused, lambda: client.search(text="anything", min_position=head + 5))
        lookup = pool.submit(_refused, lambda: client.lookup(NAMES, min_position=head + 5))
        while not write.done():
            assert not client.search(text="anything")["partial"]
            time.sleep(0.1)
    assert (write.result().status, write.result().outcome) == (503, "unknown")
    for read in (search.result(), lookup.result()):
        assert read.status == 503
        assert f"2 had not reached position {head + 5}" in read.detail
    assert client.write(documents(["after"], "all is well"))["position"] > head


@dataclass
class Watch:
    """The answers to a writer and to readers while the fleet suffers."""

    fleet: ServiceFleet
    versions: dict[str, int] = field(default_factory=dict)
    position: int = 0
    searches: int = 0
    partial_since: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def partial(self) -> int:
        """The count of partial searches; `partial_since` has the instant at which each of them began."""
        return len(self.partial_since)

    def write(self) -> None:
        """Write version after version of every note."""
        client, version = self.fleet.client(0), 0
        while not self._ended.is_set():
            version += 1
            texts = [
                {"source_id": name, "title": f"Note {name}", "text": f"{SUBJECTS[version % 4]} in note {name}."}
                for name in NAMES
            ]
            try:
                position = client.write(texts)["position"]
            except (ServiceError, Unanswered) as error:
                self.failures.append(f"write: {error}")
                continue
            self.versions.update(dict.fromkeys(NAMES, position))
            self.position = position
            self._ended.wait(0.05)

    def read(self, router: int) -> None:
        """Search and look up, every other time at the newest position that a writer was told."""
        client, turn = self.fleet.client(router), 0
        while not self._ended.is_set():
            turn += 1
            wanted = self.position if turn % 2 else None
            started = time.monotonic()
            try:
                answer = client.search(text=SUBJECTS[turn % 4], min_position=wanted)
                self._judge(answer, wanted, started)
                held = client.lookup(NAMES, min_position=wanted)
                self._judge_places(held, wanted)
            except (ServiceError, Unanswered) as error:
                self.failures.append(f"read at {wanted}: {error}")
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)

    def _judge(self, answer: dict[str, Any], wanted: int | None, started: float) -> None:
        if answer["partial"]:
            self.partial_since.append(started)
        self.searches += 1
        # An answer of both shards is partial too if one came from a replica that is not ready.
        if answer["shards_answered"] < 2 and not answer["partial"]:
            self.wrong.append(f"not partial with {answer['shards_answered']} shards")
        if not answer["partial"] and answer["position"] < (wanted or 0):
            self.wrong.append(f"asked for {wanted}, given {answer['position']}")

    def _judge_places(self, held: dict[str, Any], wanted: int | None) -> None:
        for name, place in held["documents"].items():
            if wanted and (place is None or place["position"] < wanted):
                self.wrong.append(f"{name}: asked for {wanted}, given {place}")

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Write and read while the block runs."""
        self.position = self.fleet.client().write(documents(NAMES, "the first words"))["position"]
        self.fleet.await_position(self.position)
        workers = [threading.Thread(target=self.write)]
        workers += [threading.Thread(target=self.read, args=(router,)) for router in (0, 1, 0)]
        for worker in workers:
            worker.start()
        try:
            yield self
        finally:
            self._ended.set()
            for worker in workers:
                worker.join()


def _node(fleet: ServiceFleet, shard: int, replica: int) -> Member:
    return [node for node in fleet.nodes if node.shard == shard][replica]


def _await_searches(watch: Watch, count: int) -> None:
    target = watch.searches + count
    eventually(lambda: watch.searches >= target, f"{count} more searches", seconds=60)


def test_one_frozen_replica_fails_no_query(fleet: ServiceFleet) -> None:
    with Watch(fleet).watching() as watch:
        _await_searches(watch, 20)
        with _node(fleet, 0, 1).frozen():
            _await_searches(watch, 60)
            # Long enough for the probes to eject it.
            eventually(lambda: len(fleet.seen_ready()) == 3, "the frozen replica ejected")
            _await_searches(watch, 20)
        eventually(lambda: len(fleet.seen_ready()) == 4, "the thawed replica taken back")
        _await_searches(watch, 20)
    assert watch.failures == []
    assert watch.wrong == []
    assert watch.partial == 0
    assert watch.slowest_seconds < 4


def test_with_one_slow_replica_no_query_fails(fleet: ServiceFleet) -> None:
    slow = _node(fleet, 1, 0)
    assert slow.child is not None
    with Watch(fleet).watching() as watch:
        for _ in range(12):
            os.killpg(slow.child.pid, signal.SIGSTOP)
            time.sleep(0.25)
            os.killpg(slow.child.pid, signal.SIGCONT)
            time.sleep(0.05)
        _await_searches(watch, 20)
    assert (watch.failures, watch.wrong, watch.partial) == ([], [], 0)


def test_killed_replicas_leave_answers_at_their_position(fleet: ServiceFleet) -> None:
    with Watch(fleet).watching() as watch:
        _await_searches(watch, 20)
        for shard in (0, 1):
            _node(fleet, shard, shard).kill()
            _await_searches(watch, 40)
        for shard in (0, 1):
            _node(fleet, shard, shard).start()
        fleet.await_ready()
        _await_searches(watch, 20)
    assert watch.failures == []
    assert watch.wrong == []
    assert watch.partial == 0


def test_a_lost_shard_flags_answers_partial_and_recovers(fleet: ServiceFleet) -> None:
    with Watch(fleet).watching() as watch:
        _await_searches(watch, 10)
        for replica in (0, 1):
            _node(fleet, 1, replica).kill()
        eventually(lambda: watch.partial >= 5, "partial answers")
        status, _, body = get(f"{fleet.routers[0].url}/readyz")
        assert (status, json.loads(body)["shards_missing"]) == (503, [1])
        assert get(f"{fleet.routers[0].url}/healthz")[0] == 200
        for replica in (0, 1):
            _node(fleet, 1, replica).start()
        fleet.await_ready()
        # A search that was under way may still come back partial, so those count that began from now on.
        whole_again = time.monotonic()
        _await_searches(watch, 20)
        assert [began for began in watch.partial_since if began >= whole_again] == []
    assert watch.wrong == []
    lookups = [failure for failure in watch.failures if "1 of 2 shards answered" in failure]
    assert lookups == watch.failures, "only look-ups may fail: they need every shard"


def test_documents_of_both_shards_are_spread_as_promised(fleet: ServiceFleet, client: Client) -> None:
    client.write(documents(NAMES, "once more"))
    assert {shard_of(name, 2) for name in NAMES} == {0, 1}
    reports = client.status()["shards"]
    assert all(one["documents"] for shard in reports for one in shard["replicas"])


def test_a_router_that_slept_or_starts_anew_continues_the_log(
    fleet: ServiceFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws_environment(fleet.endpoint).items():
        monkeypatch.setenv(name, value)
    log = documents_log(ObjectStore(fleet.documents))
    acknowledged: dict[str, tuple[int, int]] = {}

    def write(router: int, count: int) -> None:
        client = fleet.client(router)
        for _ in range(count):
            (result,) = (answer := client.write(documents([uuid4().hex], "routers take turns")))["results"]
            acknowledged[result["request_id"]] = (answer["position"], result["item"])

    write(0, 1)
    tail = log.tail()
    # More than could be caught up one by one before a write's deadline.
    for number in range(60):
        tail = tail_of(Append(log, tail, to_rows([]), f"another writer's {number}").run())
    write(0, 2)
    for router in (0, 1):
        fleet.routers[router].kill()
        fleet.routers[router].start()
    for router in (0, 1):
        eventually(fleet.routers[router].ready, "router ready")
        write(router, 3)
    stored = {
        written.document.request_id: (written.position, written.item)
        for entry in log.follow(Tail())
        for written in from_entry(entry)
    }
    assert {name: stored[name] for name in acknowledged} == acknowledged


def test_a_process_told_to_end_ends_soon_and_cleanly(fleet: ServiceFleet) -> None:
    for member in (fleet.routers[1], fleet.indexers[0], fleet.nodes[0]):
        started = time.monotonic()
        assert member.end(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert time.monotonic() - started < 10
        assert "Traceback" not in member.log.read_text()
