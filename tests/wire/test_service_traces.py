"""A real fleet of two shards that sends its traces: a search is one tree over all processes, and costs none to lose."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest

from tests.wire.service_fleet import ServiceFleet, booted_fleet, documents, eventually
from tests.wire.trace_collector import Collector, Received

Connect = Callable[[str], Any]
SECRET = "marzipan"
NAMES = [f"private/{number}" for number in range(12)]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """The collector of the fleet's traces."""
    one = Collector()
    yield one
    one.close()


@pytest.fixture(scope="module")
def fleet(
    connect: Connect, emulator: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceFleet]:
    """One router, one indexer, two shards of one replica, with some documents."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with mock.patch.dict(os.environ, variables):
        root = tmp_path_factory.mktemp("fleet")
        with booted_fleet(connect, emulator, root, shards=2, replicas=1) as one:
            yield one


def _asked(fleet: ServiceFleet, path: str, body: object) -> tuple[str, dict[str, Any]]:
    """The trace that a request was sent in, and its answer."""
    trace = uuid4().hex
    request = urllib.request.Request(f"{fleet.routers[0].url}{path}", data=json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    request.add_header("traceparent", f"00-{trace}-00000000000000aa-01")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return trace, json.loads(answer.read())


def _tree(collector: Collector, trace: str, names: list[str]) -> dict[str, list[Received]]:
    """The spans of a trace by name, once there are those of these names."""

    def complete() -> list[Received]:
        found = collector.of(trace)
        return found if sorted(span.name for span in found) == sorted(names) else []

    found: list[Received] = eventually(complete, f"a trace of {sorted(names)}")
    assert {span.parent for span in found} <= {span.id for span in found} | {"00000000000000aa"}
    return {name: [span for span in found if span.name == name] for name in names}


def test_a_write_and_a_search_are_one_trace_each(fleet: ServiceFleet, collector: Collector) -> None:
    trace, written = _asked(fleet, "/v1/documents", {"documents": documents(NAMES, f"{SECRET} is kept")})
    tree = _tree(collector, trace, ["POST /v1/documents", "write", "commit", "append"])
    assert tree["commit"][0].attributes == {
        "vectorfleet.requests": 1,
        "vectorfleet.documents": 12,
        "vectorfleet.position": written["position"],
    }
    fleet.await_position(written["position"])
    steps = eventually(lambda: [span for span in collector.spans if span.name == "index"], "a step of the indexer")
    assert steps[0].sender["vectorfleet.role"] == "indexer"

    trace, found = _asked(fleet, "/v1/search", {"text": f"where is the {SECRET}", "k": 5})
    assert len(found["hits"]) == 5
    each = ["shard", "attempt", "POST /search", "search", "walk"]
    tree = _tree(collector, trace, ["POST /v1/search", "search", "embed", "merge", *each, *each])
    (request,) = tree["POST /v1/search"]
    assert request.parent == "00000000000000aa"
    assert request.sender["service.name"] == "vectorfleet-router"
    assert request.attributes["http.response.status_code"] == 200
    for span in tree["POST /search"]:
        (attempt,) = [one for one in tree["attempt"] if one.id == span.parent]
        assert attempt.sender["vectorfleet.role"] == "router"
        assert attempt.attributes["vectorfleet.outcome"] == "answered"
        assert attempt.attributes["vectorfleet.node"] == span.sender["service.instance.id"]
        assert attempt.attributes["vectorfleet.shard"] == span.sender["vectorfleet.shard"]
    assert {span.sender["vectorfleet.shard"] for span in tree["POST /search"]} == {0, 1}
    kinds = [span.attributes for span in tree["search"] if span.sender["vectorfleet.role"] == "node"]
    assert [kind["vectorfleet.ef_search"] for kind in kinds] == [100, 100]
    assert [span.name for span in collector.spans if span.failed] == []


def test_no_text_and_no_id_of_a_document_leaves_the_fleet(fleet: ServiceFleet, collector: Collector) -> None:
    trace, _ = _asked(fleet, "/v1/documents/lookup", {"source_ids": NAMES})
    each = ["shard", "attempt", "POST /lookup"]
    _tree(collector, trace, ["POST /v1/documents/lookup", *each, *each])
    request = urllib.request.Request(f"{fleet.routers[0].url}/v1/documents/{NAMES[0]}", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()
    route = "DELETE /v1/documents/{source_id}"
    eventually(lambda: route in {span.name for span in collector.spans}, "the deletion's trace")
    assert SECRET.encode() not in collector.raw
    assert b"private/" not in collector.raw


def test_what_is_left_is_sent_when_a_process_is_told_to_end(fleet: ServiceFleet, collector: Collector) -> None:
    router = fleet.routers[0]
    router.end()
    with mock.patch.dict(router.environment, OTEL_BSP_SCHEDULE_DELAY="600000"):
        router.start()
    fleet.await_ready()
    trace, _ = _asked(fleet, "/v1/search", {"text": "where is it", "k": 5})
    eventually(lambda: "POST /search" in {span.name for span in collector.of(trace)}, "the nodes' part")
    assert "POST /v1/search" not in {span.name for span in collector.of(trace)}
    router.end()
    assert "POST /v1/search" in {span.name for span in collector.of(trace)}
    router.start()
    fleet.await_ready()


def test_a_collector_that_is_gone_costs_no_search_and_few_lines(fleet: ServiceFleet, collector: Collector) -> None:
    collector.close()
    seconds = []
    for number in range(200):
        started = time.monotonic()
        _, found = _asked(fleet, "/v1/search", {"text": f"question {number} about it", "k": 5})
        seconds.append(time.monotonic() - started)
        assert (len(found["hits"]), found["partial"]) == (5, False)
    assert sorted(seconds)[100] < 0.1
    eventually(lambda: _complaints(fleet), "a line about the collector")
    time.sleep(3)
    assert max(_complaints(fleet)) == 1
    started = time.monotonic()
    for member in fleet.members:
        member.end()
    assert time.monotonic() - started < 5 * len(fleet.members)


def _complaints(fleet: ServiceFleet) -> list[int]:
    """Lines of the SDK in each process's log; none of them where nobody complained yet."""
    counts = [member.log.read_text().count('"logger": "opentelemetry') for member in fleet.members]
    return counts if any(counts) else []
