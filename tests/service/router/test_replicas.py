"""The nodes that a router knows, and its reports of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from service.router import replicas as replicas_module
from service.router.discovery import Address, NodeAddress, SlotInstances, find
from service.router.indexers import Indexers
from service.router.replicas import Replica, Replicas, Report, diverged


class Ec2:
    """Instances with tags; remembers the filters."""

    def __init__(self, *tags: dict[str, str]) -> None:
        self._instances = [
            {
                "InstanceId": f"i-{number}",
                "PrivateIpAddress": f"127.0.0.{number}",
                "Placement": {"AvailabilityZone": "us-east-1a"},
                "Tags": [{"Key": f"vectorfleet:{key}", "Value": value} for key, value in one.items()],
            }
            for number, one in enumerate(tags)
        ]
        self.filters: list[dict[str, Any]] = []

    def get_paginator(self, _: str) -> Ec2:
        return self

    def paginate(self, *, Filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:  # noqa: N803
        self.filters = Filters
        for instance in reversed(self._instances):
            yield {"Reservations": [{"Instances": [instance]}]}


def test_nodes_are_found_by_their_tags_over_all_pages() -> None:
    node = {"role": "node"}
    ec2 = Ec2(node | {"shard": "0", "replica": "a"}, {"role": "indexer"}, node | {"shard": "11", "replica": "b"})
    nodes, indexers = find(ec2, fleet="f", slot="blue")
    assert nodes == [
        NodeAddress("i-0", "127.0.0.0", "us-east-1a", 0, "a"),
        NodeAddress("i-2", "127.0.0.2", "us-east-1a", 11, "b"),
    ]
    assert indexers == [Address("i-1", "127.0.0.1", "us-east-1a")]
    assert {one["Name"]: one["Values"] for one in ec2.filters} == {
        "tag:vectorfleet:fleet": ["f"],
        "tag:vectorfleet:slot": ["blue"],
        "tag:vectorfleet:role": ["node", "indexer"],
        "instance-state-name": ["running"],
    }


@pytest.mark.parametrize("tags", [{}, {"shard": "0"}, {"shard": "first", "replica": "a"}])
def test_an_instance_without_its_place_is_left_out_and_named(
    tags: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        node = {"role": "node"}
        nodes = find(Ec2(node | tags, node | {"shard": "1", "replica": "b"}), fleet="f", slot="blue").nodes
    assert [node.instance for node in nodes] == ["i-1"]
    assert "i-0" in str(vars(caplog.records[0]))


class Known(Replicas):
    """Replicas without discovery."""

    def __init__(self) -> None:
        self.shards, self._port = 2, 8080
        self.tls, self._scheme = None, "http"
        self._by_instance: dict[str, Replica] = {}
        self.indexers = Indexers(8080, "http")

    def hears_of(self, *nodes: NodeAddress, indexers: tuple[Address, ...] = ()) -> None:
        """Take the instances of a discovery."""
        self._take(SlotInstances(list(nodes), list(indexers)))


def _node(name: str, shard: int = 0) -> NodeAddress:
    return NodeAddress(name, "127.0.0.1", "us-east-1a", shard, name[-1])


def test_discovery_keeps_the_reports_of_known_nodes() -> None:
    known = Known()
    known.hears_of(_node("i-a"), _node("i-b", 1))
    known.all()[0].report = Report(True, build="b", position=7)
    known.hears_of(_node("i-a"), _node("i-c", 1))
    assert [(replica.node.instance, replica.report.position) for replica in known.all()] == [("i-a", 7), ("i-c", 0)]


def test_the_status_lists_every_shard_also_one_without_replicas() -> None:
    known = Known()
    known.hears_of(_node("i-b"), _node("i-a"))
    known.all()[0].report = Report(True, build="b", position=7, stale="entry 8 is damaged")
    empty, lost = known.status()
    assert [(one.instance, one.ready, one.stale) for one in empty] == [
        ("i-a", False, ""),
        ("i-b", True, "entry 8 is damaged"),
    ]
    assert lost == []
    assert known.missing(2) == {"ShardsDown": 1, "ReplicasMissing": 3, "StaleReplicas": 1, "DivergedShards": 0}


def test_a_replica_that_another_passed_long_ago_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    known = Known()
    known._take(SlotInstances([_node("i-a"), _node("i-b"), _node("i-c", 1)], []))
    first, second, alone = known.all()

    def stale_after(seconds: float, *positions: int) -> int:
        nonlocal now
        for replica, position in zip((first, second, alone), positions, strict=True):
            replica.report = Report(True, build="b", position=position)
        known.compare()
        now += seconds
        known.compare()
        return known.missing(2)["StaleReplicas"]

    assert stale_after(1000, 7, 7, 7) == 0
    # A write after a long silence: whoever has not applied it yet does not stand still.
    assert stale_after(29, 7, 8, 7) == 0
    # One that is always a step behind moves.
    assert [stale_after(29, position, position + 1, 7) for position in (8, 9, 10)] == [0, 0, 0]
    assert stale_after(1, 10, 12, 7) == 1
    said = "it has been at position 10 for 30 s, and another replica of its shard is ahead"
    assert [one.stale for one in known.status()[0]] == [said, ""]
    assert stale_after(0, 12, 12, 7) == 0


@given(
    reports=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 2), st.sampled_from("xy"), st.booleans()), max_size=6)
)
def test_replicas_diverge_at_one_position_alone(reports: list[tuple[int, int, str, bool]]) -> None:
    known = Known()
    known.hears_of(*[_node(f"i-{number}", shard) for number, (shard, *_) in enumerate(reports)])
    for replica, (_, position, digest, ready) in zip(known.all(), reports, strict=True):
        replica.report = Report(ready, build="b", position=position, digest=digest)
    places = {(shard, position) for shard, position, _, ready in reports if ready}
    expected = {place for place in places if {d for s, p, d, r in reports if r and (s, p) == place} == {"x", "y"}}
    found = diverged(known.all())
    assert {(group[0].node.shard, group[0].report.position) for group in found} == expected
    assert known.missing(1)["DivergedShards"] == len({shard for shard, _ in expected})


REPORTS = st.tuples(
    st.integers(0, 1), st.dictionaries(st.integers(1, 3), st.integers(0, 2**128 - 1), max_size=3), st.booleans()
)


@given(reports=st.lists(REPORTS, max_size=6))
def test_the_fleet_has_a_digest_where_every_shard_agrees(reports: list[tuple[int, dict[int, int], bool]]) -> None:
    known = Known()
    known.hears_of(*[_node(f"i-{number}", shard) for number, (shard, *_) in enumerate(reports)])
    for replica, (_, digests, ready) in zip(known.all(), reports, strict=True):
        replica.report = Report(ready, build="b", digests={at: f"{digest:032x}" for at, digest in digests.items()})
    expected = {}
    for at in (1, 2, 3):
        held = [{digests[at] for s, digests, r in reports if r and s == n and at in digests} for n in (0, 1)]
        if [len(digests) for digests in held] == [1, 1]:
            expected[at] = f"{sum(digest for shard in held for digest in shard) % 2**128:032x}"
    assert known.digests("b") == expected
    assert known.digests("other") == {}


def _names(replicas: list[Replica]) -> set[str]:
    return {replica.node.instance for replica in replicas}


def test_replicas_of_a_build_and_of_its_successor_answer_together() -> None:
    known = Known()
    known.hears_of(_node("i-a"), _node("i-b"), _node("i-c"))
    for replica, served in zip(known.all(), ("b-1", "b-1.f00", "b-2"), strict=True):
        replica.report = Report(True, build=served)
    assert _names(known.of(0, "b-1")) == _names(known.of(0, "b-1.f00")) == {"i-a", "i-b"}


def test_the_last_replicas_of_a_shard_are_asked_but_not_ready() -> None:
    known = Known()
    known.hears_of(_node("i-a"), _node("i-b"), _node("i-c"), _node("i-d"), _node("i-e", 1))
    first, second, other, unready, _ = known.all()
    for replica in (first, second):
        replica.report = Report(True, build="b")
    other.report, unready.report = Report(True, build="other"), Report(False, build="b")
    first.eject()
    assert _names(known.of(0, "b")) == {"i-b"}
    second.eject()
    assert _names(known.of(0, "b")) == {"i-a", "i-b"}
    assert known.ready(0, "b") == []
    assert [one.ready for one in known.status()[0]] == [False, False, True, False]
    first.report = Report(False, build="b")
    assert _names(known.of(0, "b")) == {"i-b"}
    known.hears_of(_node("i-a"), _node("i-e", 1))
    assert known.of(0, "b") == []


def test_a_lost_probe_keeps_the_report_until_the_next_answer() -> None:
    answers = iter([(503, b'{"ready":false,"build":"b"}'), (200, b'{"ready":true,"build":"b"}'), (500, b"fault")] * 2)
    seen: list[tuple[bool, bool]] = []

    async def readyz(_: web.Request) -> web.Response:
        status, body = next(answers)
        return web.Response(status=status, body=body)

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/readyz", readyz)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        known = Known()
        known._port = runner.addresses[0][1]
        known.hears_of(_node("i-a"))
        (replica,) = known.all()
        async with aiohttp.ClientSession() as session:
            for _ in range(5):
                await known._probe(session, replica)
                seen.append((replica.ready, bool(known.of(0, "b"))))
        await runner.cleanup()

    asyncio.run(run())
    assert seen == [(False, False), (True, True), (False, True), (False, False), (True, True)]


def test_probes_do_not_queue_behind_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas_module, "PROBE_SECONDS", 0.05)
    sessions: set[aiohttp.ClientSession] = set()

    class Probed(Known):
        async def _probe(self, session: aiohttp.ClientSession, replica: Replica) -> None:
            sessions.add(session)
            assert session.connector is not None
            assert session.connector.limit == 0

    async def run() -> None:
        known = Probed()
        known.hears_of(_node("i-a"))
        probing = asyncio.create_task(known.probe())
        await asyncio.sleep(0.2)
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)

    asyncio.run(run())
    assert [session.closed for session in sessions] == [True]


def test_documents_are_counted_by_each_shards_furthest_replica() -> None:
    known = Known()
    known.hears_of(_node("a", 0), _node("b", 0), _node("c", 1), _node("d", 1))
    reports = [
        Report(True, build="b", position=7, collections={0: 5, 6: 1}),
        Report(True, build="b", position=5, collections={0: 4}),
        Report(True, build="b", position=7, collections={0: 3, 6: 2, 9: 1}),
        Report(True, build="other", position=9, collections={0: 99}),
    ]
    for replica, report in zip(known.all(), reports, strict=True):
        replica.report = report
    assert known.documents("b") == {0: 8, 6: 3}
    assert known.documents("another") == {}
