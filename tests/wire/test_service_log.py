"""I1 against the emulated S3: what was acknowledged stays, without gaps and without doubles, on a bad day too."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from service.storage import conformance
from service.storage.conformance import NotConforming
from service.storage.documents import Document, documents_log, from_entry, to_rows
from service.storage.log import Append, AppendFailed, Log, Tail, tail_of
from service.storage.objects import ObjectStore
from tests.wire.service_fleet import PROJECT, aws_environment, new_bucket, s3_faults

Connect = Callable[[str], Any]
BAD_DAY: list[dict[str, object]] = [
    {"method": "PUT", "fault": "lost_reply", "count": 4},
    {"method": "PUT", "fault": "conflict", "count": 4},
    {"method": "GET", "fault": "unavailable", "count": 2},
    {"method": "PUT", "fault": "unavailable", "count": 4},
    {"method": "GET", "fault": "delay", "count": 3, "seconds": 0.1},
    {"method": "PUT", "fault": "lost_reply", "count": 6},
    {"method": "PUT", "fault": "delay", "count": 6, "seconds": 0.1},
]


@pytest.fixture
def bucket(connect: Connect, emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own, which ObjectStore finds."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    return new_bucket(connect, "log")


def _bad_day(bucket: str) -> list[dict[str, object]]:
    return [rule | {"bucket": bucket, "key_prefix": "log/"} for rule in BAD_DAY]


def _contents(log: Log) -> dict[str, tuple[int, str]]:
    """Position and text of every request id; checks numbers, links, append ids and doubles on the way."""
    found: dict[str, tuple[int, str]] = {}
    entries = list(log.follow(Tail()))
    assert [entry.header.number for entry in entries] == list(range(1, log.head() + 1))
    assert max(Counter(entry.header.append_id for entry in entries).values(), default=1) == 1
    for entry in entries:
        for written in from_entry(entry):
            assert written.document.request_id not in found
            found[written.document.request_id] = (written.position, written.document.text)
    return found


def _check(log: Log, outcomes: list[dict[str, Any]]) -> None:
    found = _contents(log)
    for outcome in outcomes:
        places = {one: found.get(one) for one in outcome["ids"]}
        if outcome["outcome"] == "acknowledged":
            assert places == {one: (outcome["position"], f"text of {one}") for one in outcome["ids"]}
        elif outcome["outcome"] == "not_written":
            assert set(places.values()) == {None}


def _process(bucket: str, name: str, count: int, deadline_seconds: float) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.service.appending", bucket, name, str(count), str(deadline_seconds)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def _lines(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    with process:
        assert process.stdout is not None
        return [json.loads(line) for line in process.stdout if line.endswith("\n")]


def test_concurrent_appends_with_faults_lose_nothing(bucket: str, emulator: str) -> None:
    with s3_faults(emulator, *_bad_day(bucket)):
        processes = [_process(bucket, f"p{number}", 15, 20) for number in range(3)]
        victim = _process(bucket, "victim", 10_000, 20)
        assert victim.stdout is not None
        outcomes = [json.loads(victim.stdout.readline()) for _ in range(5)]
        victim.kill()
        outcomes += _lines(victim)
        outcomes += [line for process in processes for line in _lines(process)]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert Counter(outcome["outcome"] for outcome in outcomes)["acknowledged"] >= 50
    _check(documents_log(ObjectStore(bucket)), outcomes)


def test_impatient_writers_learn_the_outcome(bucket: str, emulator: str) -> None:
    outcomes: list[dict[str, Any]] = []

    def work(name: str, deadline_seconds: float) -> None:
        log = documents_log(ObjectStore(bucket))
        tail = Tail()
        for number in range(12):
            one = f"{name}.{number}"
            append = Append(log, tail, to_rows([Document(one, one, False, "", f"text of {one}")]), uuid4().hex)
            try:
                tail = tail_of(append.run(deadline_seconds))
                outcomes.append({"outcome": "acknowledged", "position": tail.number, "ids": [one]})
            except AppendFailed as failed:
                outcomes.append({"outcome": failed.outcome, "ids": [one]})

    rules = [{"method": "PUT", "bucket": bucket, "fault": fault, "count": 3} for fault in ("unavailable", "conflict")]
    with s3_faults(emulator, *_bad_day(bucket), *rules * 4):
        threads = [threading.Thread(target=work, args=(f"t{n}", (0.02, 0.1, 15)[n % 3])) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(outcomes) == 72
    # Timing decides if a writer that gave up learns the owner of its number; it must say so in any case.
    said = {outcome["outcome"] for outcome in outcomes}
    assert "acknowledged" in said
    assert said & {"unknown", "not_written"}
    assert said <= {"acknowledged", "unknown", "not_written"}
    _check(documents_log(ObjectStore(bucket)), outcomes)


def test_an_unanswered_put_is_repeated_at_its_number(
    bucket: str, emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(bucket)
    log, create = documents_log(store), store.create
    sent: list[tuple[str, bytes]] = []

    def remembering(key: str, body: bytes) -> str:
        sent.append((key, body))
        return create(key, body)

    monkeypatch.setattr(store, "create", remembering)
    with s3_faults(emulator, {"method": "PUT", "bucket": bucket, "fault": "unavailable", "count": 3}):
        entry = Append(log, Tail(), to_rows([Document("r", "s")]), "me").run()
    assert entry.header.number == 1
    assert len(sent) == 4
    assert len(set(sent)) == 1


@pytest.mark.parametrize("condition", ["If-None-Match", "If-Match"])
def test_a_store_that_drops_a_condition_on_the_way_is_refused(
    bucket: str, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    store = ObjectStore(bucket)
    parameter = condition.replace("-", "")
    put = store._put
    monkeypatch.setattr(
        store,
        "_put",
        lambda key, body, given: put(key, body, {name: value for name, value in given.items() if name != parameter}),
    )
    with pytest.raises(NotConforming, match=f"bucket {bucket}: .* enforces {condition}$"):
        conformance.check(store)


def test_the_emulated_store_conforms_on_a_bad_day_too(bucket: str, emulator: str) -> None:
    store = ObjectStore(bucket)
    conformance.check(store)
    with s3_faults(emulator, {"method": "PUT", "bucket": bucket, "fault": "conflict", "count": 1}):
        conformance.check(store)
    assert list(store.keys("")) == []


def test_stamps_never_decrease(bucket: str) -> None:
    log = documents_log(ObjectStore(bucket))
    tail, stamps = Tail(), []
    for number in range(4):
        tail = tail_of(Append(log, tail, to_rows([]), f"a{number}").run())
        stamps.append(tail.stamp_ms)
    assert stamps == sorted(stamps)
