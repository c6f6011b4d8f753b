"""The replicas of a router's slot: found by their tags, probed, ejected by failed requests, and compared."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from service.index.rows import digest_text
from service.router.discovery import NodeAddress, SlotInstances, find
from service.router.indexers import Indexers
from service.storage.builds import IndexParameters, family
from service.storage.objects import aws_client

DISCOVERY_SECONDS = 2.0
PROBE_SECONDS = 1.0
PROBE_TIMEOUT_SECONDS = 1.0
# Longer than any entry takes to apply: a replica that is passed and gains nothing for so long has stopped.
STOPPED_SECONDS = 30.0
VERIFY_AGAIN_SECONDS = 60.0
VERIFY_TIMEOUT_SECONDS = 2.0

log = logging.getLogger(__name__)


class Report(msgspec.Struct, frozen=True):
    """
    A node's own report at /readyz; other members are ignored.

    `collections` counts documents by collection, `unprotected` the writes that its snapshot lacks. Searches use the
    parameters of `index`, or of `adjusted` for the bases that it names. `misconfigured` names the settings that the
    build refuses. A `restored` node answers with the rows that it has; `reason` says why it is not ready.
    """

    ready: bool
    restored: bool = False
    reason: str = ""
    build: str = ""
    position: int = 0
    generation: int = 0
    rows: int = 0
    documents: int = 0
    delta_rows: int = 0
    unprotected: int = 0
    digest: str = ""
    digests: dict[int, str] = {}
    collections: dict[int, int] = {}
    index: IndexParameters | None = None
    adjusted: dict[int, IndexParameters] = {}
    misconfigured: str = ""
    restored_from: str = ""
    stale: str = ""
    recall: float | None = None
    memory_percent: float = 0.0
    disk_percent: float = 0.0


class ReplicaStatus(Report, frozen=True, kw_only=True):
    """A node for /v1/status: its place and its last report."""

    instance: str
    address: str
    zone: str
    replica: str


@dataclass
class Replica:
    """
    A node with its newest report; `in_flight` counts requests under way to it.

    `passed` is the position at which another replica of its shard has passed it, and the monotonic time of that.
    """

    node: NodeAddress
    port: int
    report: Report = field(default_factory=lambda: Report(False))
    reachable: bool = True
    in_flight: int = 0
    scheme: str = "http"
    passed: tuple[int, float] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.node.address}:{self.port}"

    @property
    def ready(self) -> bool:
        """True if the node answers and reports that it is ready."""
        return self.reachable and self.report.ready

    def eject(self) -> None:
        """Prefer every other replica until a probe is answered again; the last report stays."""
        self.reachable = False


def diverged(replicas: Iterable[Replica]) -> list[list[Replica]]:
    """Return groups of ready replicas that report the same shard, build and position, but not the same digest."""
    groups: dict[tuple[int, str, int], list[Replica]] = {}
    for replica in replicas:
        if replica.ready:
            at = (replica.node.shard, replica.report.build, replica.report.position)
            groups.setdefault(at, []).append(replica)
    return [group for group in groups.values() if len({one.report.digest for one in group}) > 1]


class Replicas:
    """All nodes of the slot, found every DISCOVERY_SECONDS and probed every PROBE_SECONDS, over `tls` if given."""

    def __init__(self, *, fleet: str, slot: str, port: int, shards: int, tls: ssl.SSLContext | None = None) -> None:
        self.shards = shards
        self.tls = tls
        self._fleet, self._slot, self._port = fleet, slot, port
        self._by_instance: dict[str, Replica] = {}
        self._scheme = "https" if tls else "http"
        self.indexers = Indexers(port, self._scheme)
        self._ec2 = aws_client("ec2")

    def all(self) -> list[Replica]:
        return list(self._by_instance.values())

    def of(self, shard: int, build: str) -> list[Replica]:
        """
        Return the replicas of a shard that serve `build`, the least busy first, ties in random order.

        If none is ready, return unreachable ones that last reported to be ready, and restored ones, whose answers are
        not complete. Neither a missed probe nor damage removes the last replica of a shard.
        """
        able = [
            one
            for one in self._by_instance.values()
            if one.node.shard == shard and family(one.report.build) == family(build)
        ]
        asked = [one for one in able if one.ready] or [one for one in able if one.report.ready or one.report.restored]
        return sorted(asked, key=lambda replica: (replica.in_flight, random.random()))

    def ready(self, shard: int, build: str) -> list[Replica]:
        """Return the replicas of a shard that answer and are ready to serve `build`."""
        return [replica for replica in self.of(shard, build) if replica.ready]

    def documents(self, build: str) -> dict[int, int]:
        """
        Return the number of documents of each collection, by the furthest ready node of each shard.

        A collection is left out unless every shard has such a node that reports it.
        """
        newest = [
            max(ready, key=lambda one: one.report.position).report.collections
            for shard in range(self.shards)
            if (ready := self.ready(shard, build))
        ]
        if len(newest) < self.shards:
            return {}
        everywhere = set.intersection(*map(set, newest))
        return {collection: sum(counts[collection] for counts in newest) for collection in everywhere}

    def digests(self, build: str) -> dict[int, str]:
        """
        Return the digest of all live documents, the sum modulo 2¹²⁸ of the shards' own, by documents position.

        The positions are those that a ready node of every shard reports. One at which nodes of a shard differ is left
        out.
        """
        held: list[dict[int, set[str]]] = []
        for shard in range(self.shards):
            held.append({})
            for one in self.ready(shard, build):
                for position, digest in one.report.digests.items():
                    held[-1].setdefault(position, set()).add(digest)
        found = {
            position: [*itertools.chain(*(at[position] for at in held))]
            for position in set.intersection(*map(set, held))
        }
        return {
            position: digest_text(sum(int(one, 16) for one in digests))
            for position, digests in sorted(found.items())
            if len(digests) == self.shards
        }

    def missing(self, replicas: int) -> dict[str, int]:
        """
        Return counts for alarms, by metric.

        They count missing ones of `replicas` per shard, replicas that stopped in their log, and shards whose replicas
        hold different documents at one position.
        """
        ready = [sum(one.node.shard == shard and one.ready for one in self.all()) for shard in range(self.shards)]
        return {
            "ShardsDown": ready.count(0),
            "ReplicasMissing": sum(max(0, replicas - count) for count in ready),
            "StaleReplicas": sum(bool(self.stale(replica)) for replica in self.all()),
            "DivergedShards": len({group[0].node.shard for group in diverged(self.all())}),
        }

    def stale(self, replica: Replica) -> str:
        """
        Return the reason why a replica has stopped in its log, empty if it has not.

        It has if it says so, or if another ready replica of its shard has passed it and it has not moved for
        STOPPED_SECONDS.
        """
        if replica.report.stale or replica.passed is None:
            return replica.report.stale
        position, at = replica.passed
        seconds = time.monotonic() - at
        if seconds < STOPPED_SECONDS:
            return ""
        return f"it has been at position {position} for {seconds:.0f} s, and another replica of its shard is ahead"

    def compare(self) -> None:
        """Note the replicas that another one of their shard and build has passed, and the time of that."""
        for replica in self.all():
            position = replica.report.position
            ready = self.ready(replica.node.shard, replica.report.build)
            if not replica.ready or position >= max(one.report.position for one in ready):
                replica.passed = None
            elif replica.passed is None or replica.passed[0] != position:
                replica.passed = (position, time.monotonic())

    async def discover(self) -> None:
        while True:
            started = time.monotonic()
            try:
                self._take(await asyncio.to_thread(find, self._ec2, fleet=self._fleet, slot=self._slot))
            except (ClientError, BotoCoreError) as error:
                log.warning("discovery failed; the known nodes stay", extra={"reason": str(error)})
            await asyncio.sleep(max(0.0, DISCOVERY_SECONDS - (time.monotonic() - started)))

    def _take(self, found: SlotInstances) -> None:
        known = self._by_instance
        self._by_instance = {
            node.instance: known.get(node.instance, Replica(node, self._port, scheme=self._scheme))
            for node in found.nodes
        }
        self.indexers.take(found.indexers)
        for instance in self._by_instance.keys() - known.keys():
            log.info("node found", extra={"node": instance, "address": self._by_instance[instance].node.address})
        for instance in known.keys() - self._by_instance.keys():
            log.info("node gone", extra={"node": instance})

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """Return a connector to nodes: encrypted, and only to trusted ones, if TLS is configured."""
        return aiohttp.TCPConnector(ssl=self.tls or True, **options)

    async def probe(self) -> None:
        """Probe every node and indexer, for ever, over connections apart from those of searches."""
        async with aiohttp.ClientSession(connector=self.connector(limit=0)) as session:
            while True:
                started = time.monotonic()
                probes = [self._probe(session, replica) for replica in self.all()]
                await asyncio.gather(*probes, *self.indexers.probes(session))
                self.compare()
                await asyncio.sleep(max(0.05, PROBE_SECONDS - (time.monotonic() - started)))

    async def _probe(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        was = replica.ready
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_SECONDS)
        try:
            async with session.get(f"{replica.url}/readyz", timeout=timeout) as answer:
                replica.report = msgspec.json.decode(await answer.read(), type=Report)
                replica.reachable = True
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError):
            replica.eject()
        if replica.ready != was:
            log.info("node ready" if replica.ready else "node not ready", extra={"node": replica.node.instance})

    def status(self) -> list[list[ReplicaStatus]]:
        ordered = sorted(self.all(), key=lambda replica: replica.node.replica)
        return [[self._described(one) for one in ordered if one.node.shard == shard] for shard in range(self.shards)]

    def _described(self, replica: Replica) -> ReplicaStatus:
        node = replica.node
        said = msgspec.structs.asdict(replica.report) | {"ready": replica.ready, "stale": self.stale(replica)}
        return ReplicaStatus(**said, instance=node.instance, address=node.address, zone=node.zone, replica=node.replica)


class Divergence:
    """Has diverged replicas compare themselves with S3; a wrong one then replaces itself."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._asked: dict[str, float] = {}

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Check after each round of probes, for ever."""
        while True:
            for group in diverged(self._replicas.all()):
                await asyncio.gather(*(self._verify(session, replica) for replica in group))
            await asyncio.sleep(PROBE_SECONDS)

    async def _verify(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        instance, now = replica.node.instance, time.monotonic()
        if now - self._asked.get(instance, -VERIFY_AGAIN_SECONDS) < VERIFY_AGAIN_SECONDS:
            return
        self._asked[instance] = now
        where = {"node": instance, "shard": replica.node.shard, "position": replica.report.position}
        log.error("replicas of a shard diverged", extra=where | {"digest": replica.report.digest})
        timeout = aiohttp.ClientTimeout(total=VERIFY_TIMEOUT_SECONDS)
        try:
            async with session.post(f"{replica.url}/verify", timeout=timeout) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("a node could not be asked to compare itself with S3", extra=where | {"reason": str(error)})
