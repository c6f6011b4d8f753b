"""The router's view of its slot: which replicas answer, kept by probing each and by what requests to them met."""

from __future__ import annotations

import asyncio
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

from service.router.discovery import Found, NodeAddress, find
from service.router.indexers import Indexers
from service.storage.builds import IndexParameters
from service.storage.objects import aws_client

DISCOVERY_SECONDS = 2.0
PROBE_SECONDS = 1.0
PROBE_TIMEOUT_SECONDS = 1.0
# Longer than applying any entry takes: a replica that gains nothing for so long, while another does, stands still.
STANDS_SECONDS = 30.0

log = logging.getLogger(__name__)


class Report(msgspec.Struct, frozen=True):
    """
    What a node says of itself at /readyz; other members are left alone. `collections` counts documents by collection,
    `unprotected` the writes that its snapshot lacks. Searches go as `index` says, except for the bases that `adjusted`
    names. `misconfigured` is what of the node's configuration the build refuses. A node that is `restored` answers by
    what it has; `reason` says why it is not ready.
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
    """A node for /v1/status: its place, and what it last said of itself."""

    instance: str
    address: str
    zone: str
    replica: str


@dataclass
class Replica:
    """
    A node with the newest report that it gave itself; `in_flight` counts requests under way to it. `passed` is the
    position at which another replica of its shard has passed it, and the monotonic time at which that was seen.
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
        """Where the node listens."""
        return f"{self.scheme}://{self.node.address}:{self.port}"

    @property
    def ready(self) -> bool:
        """Whether it answers and says that it is ready."""
        return self.reachable and self.report.ready

    def eject(self) -> None:
        """Prefer every other replica until a probe is answered again; what the node last said of itself stays."""
        self.reachable = False


def diverged(replicas: Iterable[Replica]) -> list[list[Replica]]:
    """The ready replicas of a shard and build that say one position and not one digest, group by group."""
    groups: dict[tuple[int, str, int], list[Replica]] = {}
    for replica in replicas:
        if replica.ready:
            at = (replica.node.shard, replica.report.build, replica.report.position)
            groups.setdefault(at, []).append(replica)
    return [group for group in groups.values() if len({one.report.digest for one in group}) > 1]


class Replicas:
    """All nodes of the slot, found every DISCOVERY_SECONDS and probed every PROBE_SECONDS, over `tls` if there is."""

    def __init__(self, *, fleet: str, slot: str, port: int, shards: int, tls: ssl.SSLContext | None = None) -> None:
        self.shards = shards
        self.tls = tls
        self._fleet, self._slot, self._port = fleet, slot, port
        self._by_instance: dict[str, Replica] = {}
        self._scheme = "https" if tls else "http"
        self.indexers = Indexers(port, self._scheme)
        self._ec2 = aws_client("ec2")

    def all(self) -> list[Replica]:
        """Every known node, ready or not."""
        return list(self._by_instance.values())

    def of(self, shard: int, build: str) -> list[Replica]:
        """
        The replicas of a shard to ask for `build`, the least busy first, ties in random order.

        Where none is ready these are the unreachable ones that last said they were, and those that are restored but not
        ready, whose answers are not complete: neither a missed probe nor damage evicts the last replica of a shard.
        """
        able = [one for one in self._by_instance.values() if one.node.shard == shard and one.report.build == build]
        asked = [one for one in able if one.ready] or [one for one in able if one.report.ready or one.report.restored]
        return sorted(asked, key=lambda replica: (replica.in_flight, random.random()))

    def ready(self, shard: int, build: str) -> list[Replica]:
        """The replicas of a shard that answer and are ready to serve `build`."""
        return [replica for replica in self.of(shard, build) if replica.ready]

    def documents(self, build: str) -> dict[int, int]:
        """
        How many documents each collection has, by the word of each shard's ready node that has come furthest.

        Collections that not every shard has such a node for are left out.
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

    def missing(self, replicas: int) -> dict[str, int]:
        """
        Counts for alarms, by metric: of so many `replicas` per shard, of those that stand still in their log, and of
        shards whose replicas hold different documents at one position.
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
        Why a replica stands still in its log, empty while it does not: by its own word, or because another ready
        replica of its shard passed it and it has not moved for STANDS_SECONDS.
        """
        if replica.report.stale or replica.passed is None:
            return replica.report.stale
        position, at = replica.passed
        seconds = time.monotonic() - at
        if seconds < STANDS_SECONDS:
            return ""
        return f"it has been at position {position} for {seconds:.0f} s, and another replica of its shard is ahead"

    def compare(self) -> None:
        """Note which replicas another one of their shard and build has passed, and since when they have not moved."""
        for replica in self.all():
            position = replica.report.position
            ready = self.ready(replica.node.shard, replica.report.build)
            if not replica.ready or position >= max(one.report.position for one in ready):
                replica.passed = None
            elif replica.passed is None or replica.passed[0] != position:
                replica.passed = (position, time.monotonic())

    async def discover(self) -> None:
        """Keep the list of nodes up to date, for ever."""
        while True:
            started = time.monotonic()
            try:
                self._take(await asyncio.to_thread(find, self._ec2, fleet=self._fleet, slot=self._slot))
            except (ClientError, BotoCoreError) as error:
                log.warning("discovery failed; the nodes known stay", extra={"reason": str(error)})
            await asyncio.sleep(max(0.0, DISCOVERY_SECONDS - (time.monotonic() - started)))

    def _take(self, found: Found) -> None:
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
        """Connections to nodes, encrypted and only to those that can be trusted where TLS is configured."""
        return aiohttp.TCPConnector(ssl=self.tls or True, **options)

    async def probe(self) -> None:
        """Ask every node and indexer whether it is ready, for ever, over connections that no search has to share."""
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
        """Each shard's replicas in the order of their names."""
        ordered = sorted(self.all(), key=lambda replica: replica.node.replica)
        return [[self._described(one) for one in ordered if one.node.shard == shard] for shard in range(self.shards)]

    def _described(self, replica: Replica) -> ReplicaStatus:
        node = replica.node
        said = msgspec.structs.asdict(replica.report) | {"ready": replica.ready, "stale": self.stale(replica)}
        return ReplicaStatus(**said, instance=node.instance, address=node.address, zone=node.zone, replica=node.replica)
