"""A small fleet of real service processes against the emulated AWS, for tests that kill, freeze and restart them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.client import Client, ServiceError, Unanswered
from service.storage.objects import ObjectStore
from tests.wire.fleet import worker_number

PROJECT = Path(__file__).resolve().parents[2]
DIMS = 256
EMBEDDING = {"model": "wordllama", "version": "0.4.0.post1", "dims": DIMS}
INDEX = {"type": "hnsw", "metric": "cosine", "m": 16, "ef_construction": 200, "ef_search": 100}
_numbers = itertools.count(1)
_networks = itertools.count(1)


def eventually(condition: Callable[[], Any], what: str, *, seconds: float = 120.0) -> Any:
    """Poll until the condition is truthy and return it; an unanswered or refused call counts as not yet."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = condition()
        except (ServiceError, Unanswered, OSError) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(0.03)
    raise AssertionError(f"{what}: not within {seconds:g} s; last was {last!r}")


def refused(status: int, words: str, ask: Callable[[], object]) -> None:
    """Assert that a call is answered by a problem of this status whose detail has these words."""
    with pytest.raises(ServiceError) as error:
        ask()
    assert error.value.status == status
    assert words in error.value.detail


def aws_environment(endpoint: str) -> dict[str, str]:
    """The variables that lead every AWS client of a process to the emulator."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_faults(endpoint: str, *rules: Mapping[str, object]) -> Iterator[None]:
    """These faults of the emulated S3 while the block runs; what is left of them ends with it."""
    _admin(endpoint, "POST", {"rules": list(rules)})
    try:
        yield
    finally:
        _admin(endpoint, "DELETE", None)


def s3_faults_left(endpoint: str) -> int:
    """Return how many requests the active faults will still hit."""
    return sum(rule["count"] for rule in json.loads(_admin(endpoint, "GET", None))["rules"])


def _admin(endpoint: str, method: str, body: object) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{endpoint}/_vectorfleet/s3-faults", data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def get(url: str, *, timeout_seconds: float = 5.0, tls: ssl.SSLContext | None = None) -> tuple[int, str, bytes]:
    """Status, content type and body of a GET, also where the status is an error."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds, context=tls) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def value_of(url: str, metric: str) -> float:
    """Return the value of a process's metric."""
    lines = get(f"{url}/metrics")[2].decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{metric} "))


def new_bucket(connect: Callable[[str], Any], prefix: str) -> str:
    """A bucket of its own."""
    name = f"{prefix}-{os.getpid()}-{next(_numbers)}"
    connect("s3").create_bucket(Bucket=name)
    return name


@dataclass
class Member:
    """One instance of the fleet: it keeps its address and its disk over restarts of its process."""

    role: str
    instance: str
    address: str
    environment: dict[str, str]
    log: Path
    shard: int = 0
    tls: ssl.SSLContext | None = None
    before: tuple[str, ...] = ()  # a command that runs the process's own, which follows it
    child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return its base URL."""
        return f"{'https' if self.tls else 'http'}://{self.address}:8080"

    def start(self) -> None:
        """Start its process."""
        assert self.child is None
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [*self.before, sys.executable, "-m", "vectorfleet", self.role],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=PROJECT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it at this instant, as a lost machine does: its builder with it."""
        self.end(signal.SIGKILL)

    def end(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to its process group and wait; returns the exit code."""
        assert self.child is not None
        child, self.child = self.child, None
        os.killpg(child.pid, sign)
        if sign is not signal.SIGKILL:
            os.killpg(child.pid, signal.SIGCONT)
        return child.wait(timeout=20)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped, with its connections open, while the block runs."""
        assert self.child is not None
        os.killpg(self.child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.child.pid, signal.SIGCONT)

    def reaches(self, position: int) -> bool:
        """Return True if it is ready and has reached a position."""
        return bool((self.ready() or {"position": -1})["position"] >= position)

    def ready(self) -> dict[str, Any] | None:
        """Return its own report once it is ready."""
        status, _, body = get(f"{self.url}/readyz", timeout_seconds=1, tls=self.tls)
        return msgspec.json.decode(body, type=dict[str, Any]) if status == 200 else None


@dataclass
class ServiceFleet:
    """Routers, an indexer and nodes, with buckets and parameters of their own."""

    connect: Callable[[str], Any]
    endpoint: str
    root: Path
    subnet: str
    name: str
    shards: int
    documents: str = ""
    index: str = ""
    access_keys: str = ""
    lag_seconds: float = 30.0
    embedding: Mapping[str, Any] = field(default_factory=lambda: EMBEDDING)
    parameters: Mapping[str, Any] = field(default_factory=lambda: INDEX)
    routers: list[Member] = field(default_factory=list)
    indexers: list[Member] = field(default_factory=list)
    nodes: list[Member] = field(default_factory=list)

    @property
    def members(self) -> list[Member]:
        """Everything that may run."""
        return [*self.routers, *self.indexers, *self.nodes]

    def client(self, router: int = 0, *, timeout_seconds: float = 20.0) -> Client:
        """A client of one router."""
        return Client(self.routers[router].url, timeout_seconds=timeout_seconds)

    def index_store(self) -> ObjectStore:
        """The index bucket; the environment must lead to the emulator."""
        return ObjectStore(self.index)

    def configure(self, replicas: int) -> None:
        """Make buckets and parameters."""
        self.documents = new_bucket(self.connect, "documents")
        self.index = new_bucket(self.connect, "index")
        values = {
            "storage": {"documents": self.documents, "index": self.index, "artifacts": "none"},
            "embedding": self.embedding,
            "chunking": {"size": 300, "overlap": 0},
            "index": self.parameters,
            "fleet": {
                "shards": self.shards,
                "replicas": replicas,
                "metrics_period_seconds": 10,
                "access_keys": self.access_keys,
                "lag_seconds": self.lag_seconds,
            },
        }
        for key, value in values.items():
            self.parameter(key, value)

    def parameter(self, key: str, value: object) -> None:
        """Write one parameter, whatever it was."""
        self.connect("ssm").put_parameter(
            Name=f"/vectorfleet/{self.name}/{key}", Type="String", Value=json.dumps(value), Overwrite=True
        )

    def add(self, role: str, shard: int = 0, replica: str = "", *, slot: str = "blue") -> Member:
        """A new instance, not yet started."""
        tags = {"fleet": self.name, "role": role, "slot": slot}
        tags |= {"shard": str(shard), "replica": replica} if role == "node" else {}
        pairs = [{"Key": f"vectorfleet:{key}", "Value": value} for key, value in tags.items()]
        instance = self.connect("ec2").run_instances(
            ImageId="ami-0123456789abcdef0",
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            TagSpecifications=[{"ResourceType": "instance", "Tags": pairs}],
        )["Instances"][0]
        name, address = instance["InstanceId"], instance["PrivateIpAddress"]
        place = {f"VECTORFLEET_{key.upper()}": value for key, value in tags.items()}
        environment = {
            **os.environ,
            **aws_environment(self.endpoint),
            **place,
            "VECTORFLEET_PARAMETERS": f"/vectorfleet/{self.name}",
            "VECTORFLEET_HOST": address,
            "VECTORFLEET_INSTANCE": name,
            "VECTORFLEET_DATA": str(self.root / name),
            "PYTHONPATH": str(PROJECT),
        }
        self.root.mkdir(parents=True, exist_ok=True)
        log = self.root / f"{role}-{shard}{replica}-{name}.log"
        member = Member(role, name, address, environment, log, shard)
        {"router": self.routers, "indexer": self.indexers, "node": self.nodes}[role].append(member)
        return member

    def boot(self, *, replicas: int, routers: int = 1, indexers: int = 1) -> None:
        """Add and start everything and wait until it is ready."""
        self.configure(replicas)
        for _ in range(indexers):
            self.add("indexer")
        for _ in range(routers):
            self.add("router")
        for shard, replica in itertools.product(range(self.shards), "abcdef"[:replicas]):
            self.add("node", shard, replica)
        for member in self.members:
            member.start()
        self.await_ready()

    def await_ready(self, *, seconds: float = 60.0) -> None:
        """Wait until every started process is ready and every router sees every node."""
        for member in self.members:
            if member.child is not None:
                eventually(member.ready, f"{member.role} {member.instance} ready", seconds=seconds)
        running = {member.instance for member in self.nodes if member.child is not None}
        for number, router in enumerate(self.routers):
            if router.child is not None:
                eventually(partial(self._sees, number, running), "nodes known to the router")

    def _sees(self, router: int, instances: set[str]) -> bool:
        return self.seen_ready(router) >= instances

    def seen_ready(self, router: int = 0) -> set[str]:
        """The instances that a router would ask."""
        shards = self.client(router).status()["shards"]
        return {one["instance"] for shard in shards for one in shard["replicas"] if one["ready"]}

    def positions(self) -> list[int]:
        """The position of every running node, by its own word."""
        return [(node.ready() or {"position": -1})["position"] for node in self.nodes if node.child is not None]

    def await_position(self, position: int, *, seconds: float = 120.0) -> None:
        """Wait until every running node reflects `position`."""
        eventually(lambda: min(self.positions()) >= position, f"position {position} everywhere", seconds=seconds)

    def stop(self) -> None:
        """End what still runs."""
        for member in self.members:
            if member.child is not None:
                member.kill()


@contextmanager
def booted_fleet(
    connect: Callable[[str], Any],
    endpoint: str,
    root: Path,
    *,
    shards: int,
    replicas: int,
    routers: int = 1,
    indexers: int = 1,
) -> Iterator[ServiceFleet]:
    """A fleet that is ready, while the block runs."""
    one = new_fleet(connect, endpoint, root, shards=shards)
    try:
        one.boot(replicas=replicas, routers=routers, indexers=indexers)
        yield one
    finally:
        one.stop()


def documents(names: Sequence[str], words: str) -> list[dict[str, str]]:
    """Documents to write, each about `words` and itself."""
    return [{"source_id": name, "title": f"Note {name}", "text": f"{words} in note {name}."} for name in names]


def new_fleet(connect: Callable[[str], Any], endpoint: str, root: Path, *, shards: int) -> ServiceFleet:
    """A fleet without members, in a network of its own."""
    number = next(_networks)
    ec2 = connect("ec2")
    block = f"127.{100 + number}"
    vpc = ec2.create_vpc(CidrBlock=f"{block}.0.0/16")["Vpc"]["VpcId"]
    own = f"{block}.{16 * worker_number()}.0/20"
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=own, AvailabilityZone="us-east-1a")
    return ServiceFleet(connect, endpoint, root, subnet["Subnet"]["SubnetId"], f"test-{number}", shards)
