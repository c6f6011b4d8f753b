"""A small fleet of real processes on an emulated AWS, with given vectors written and indexed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import click
import msgspec
import numpy as np
import psutil

from rehearsal.emulator.launch import PROJECT, free_port, start
from service.embedding.providers import GivenVectors
from service.embedding.splitter import SPLITTER
from service.index.part import Vectors
from service.indexer.indexer import Indexer
from service.node.builder import publish_generation
from service.node.recovery import ShardStore
from service.storage.builds import Build, Chunking, Embedding, IndexParameters, Recipe, Slots
from service.storage.collections import DEFAULT_ID
from service.storage.documents import Document, documents_log, to_rows
from service.storage.log import Append, tail_of
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log
from service.storage.snapshot import manifest_of
from vectorfleet.waiting import until

REGION = "us-east-1"
FLEET = "bench"
SUBNET = "127.201.0.0/24"
PORT = 8080
ENTRY_ROWS = 400  # below the 8 MiB of an entry at 4,096 dimensions
READY_SECONDS = 600.0  # a million rows are a gigabyte to fetch
POLL_SECONDS = 0.05
TEXT = "A chunk of text, about as long as those of a reference: it says what a call does and what it takes. " * 4


class NotReady(click.ClickException):
    """A process of the stage was not ready in time; the message names its log."""


class SearchedFurther(click.ClickException):
    """A shard that misses its recall with the given parameters, and is searched with others."""


def source_id(row: int) -> str:
    return f"row/{row}"


def document(row: int, vector: Vectors) -> Document:
    request_id, text = f"bench/{row}", f"{row} {TEXT}"
    return Document(request_id, source_id(row), title=f"Row {row}", text=text, vector=vector.astype("<f4").tobytes())


def row_of(name: str) -> int:
    return int(name.partition("/")[2])


def aws_environment(endpoint: str) -> dict[str, str]:
    """Return the variables that lead a process's AWS clients to the emulator."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }


@dataclass
class Member:
    """A process of the service on an address of its own."""

    role: str
    address: str
    disk: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def host(self) -> tuple[str, int]:
        return self.address, PORT

    def report(self) -> dict[str, Any]:
        """Return the process's own report; raise OSError while it is not ready."""
        with urllib.request.urlopen(f"http://{self.address}:{PORT}/readyz", timeout=5) as answer:
            return dict(json.load(answer))

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and its children so far."""
        own = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (own, *own.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))


@dataclass
class Stage:
    """The emulator, and the processes of a fleet on it."""

    root: Path
    vectors: Vectors
    index: IndexParameters
    shards: int
    members: list[Member] = field(default_factory=list)
    build: Build | None = None

    def fill(self, threads: int) -> None:
        """Write every vector as a document, have all of them indexed, and publish a snapshot of each shard."""
        index = ObjectStore("index")
        self.build = Slots(index).claim("blue", self._recipe)
        self.write(document(row, vector) for row, vector in enumerate(self.vectors))
        for shard in range(self.shards):
            self._publish(index, self.build, shard, threads)

    def write(self, documents: Iterable[Document]) -> None:
        """Append documents to the documents log, as routers do, and index them as an indexer does."""
        assert self.build is not None
        store = ObjectStore("documents")
        log, given = documents_log(store), iter(documents)
        tail = log.tail()
        while batch := list(islice(given, ENTRY_ROWS)):
            tail = tail_of(Append(log, tail, to_rows(batch), uuid4().hex).run())
        indexer = Indexer(store, ObjectStore("index"), self.build, GivenVectors(self.build.recipe.embedding))
        indexer.catch_up()
        while indexer.position < tail.number:
            indexer.step()

    @property
    def _recipe(self) -> Recipe:
        space = Embedding("bench", "1", int(self.vectors.shape[1]), "given")
        return Recipe(
            space, Chunking(800, 100), self.index, self.shards, f"{SPLITTER} {GivenVectors(space).fingerprint}"
        )

    def prepare(self) -> None:
        for bucket in ("documents", "index"):
            boto3.client("s3").create_bucket(Bucket=bucket)
        self._configure(self._recipe)
        ec2 = boto3.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="127.201.0.0/16")["Vpc"]["VpcId"]
        self._subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=SUBNET)["Subnet"]["SubnetId"]

    def _configure(self, recipe: Recipe) -> None:
        values: Mapping[str, Any] = {
            "storage": {"documents": "documents", "index": "index", "artifacts": "none"},
            "embedding": msgspec.to_builtins(recipe.embedding),
            "chunking": msgspec.to_builtins(recipe.chunking),
            "index": msgspec.to_builtins(self.index),
            "fleet": {"shards": self.shards, "replicas": 1, "metrics_period_seconds": 60},
        }
        for name, value in values.items():
            boto3.client("ssm").put_parameter(Name=f"/{FLEET}/{name}", Type="String", Value=json.dumps(value))

    def _publish(self, index: ObjectStore, build: Build, shard: int, threads: int) -> None:
        entry = shard_log(index, build.id, shard, build.recipe.embedding.dims).head()
        folder = self.root / f"builder-{shard}"
        folder.mkdir()
        shard_store = ShardStore(index, build, shard, folder, ObjectStore("documents"))
        name = publish_generation(shard_store, entry=entry, generation=1, threads=threads)
        searched = manifest_of(index, build, shard, name).shares[DEFAULT_ID].searched
        if searched is not None:
            how = "exactly" if searched.type == "flat" else f"with ef_search {searched.ef_search}"
            raise SearchedFurther(
                f"with ef_search {self.index.ef_search} shard {shard} misses its recall: it is searched {how}, "
                "which is not comparable. Take a greater --ef, or other vectors."
            )

    def add(self, role: str, processors: set[int], *, shard: int = 0, fleet: str = FLEET) -> Member:
        """
        Start a process on these processors alone, and wait until it is ready.

        Routers find the nodes of their own `fleet`.
        """
        tags = {"fleet": fleet, "role": role, "slot": "blue"}
        tags |= {"shard": str(shard), "replica": "a"} if role == "node" else {}
        address, name = self._launched(tags)
        log, disk = self.root / f"{role}-{name}.log", self.root / name
        place = tags | {"parameters": f"/{FLEET}", "host": address, "instance": name, "data": str(disk)}
        variables = {f"VECTORFLEET_{key.upper()}": value for key, value in place.items()}
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "vectorfleet", role],
                env={**os.environ, **variables, "PYTHONPATH": str(PROJECT)},
                cwd=PROJECT,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, processors),
            )
        member = Member(role, address, disk, process, log)
        self.members.append(member)
        await_ready(member)
        return member

    def _launched(self, tags: Mapping[str, str]) -> tuple[str, str]:
        """Return the address and id of a new instance, by which routers find its process."""
        pairs = [{"Key": f"vectorfleet:{key}", "Value": value} for key, value in tags.items()]
        instance = boto3.client("ec2").run_instances(
            ImageId="ami-0123456789abcdef0",
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            SubnetId=self._subnet,
            TagSpecifications=[{"ResourceType": "instance", "Tags": pairs}],
        )["Instances"][0]
        return instance["PrivateIpAddress"], instance["InstanceId"]

    def stop(self) -> None:
        for member in self.members:
            os.killpg(member.process.pid, signal.SIGKILL)
            member.process.wait()
        self.members.clear()


def await_ready(member: Member) -> None:
    """Wait until a process is ready; raise NotReady."""

    def state() -> str:
        try:
            return "ready" if member.report() else ""
        except OSError:
            return "" if member.process.poll() is None else "ended"

    if until(state, READY_SECONDS, POLL_SECONDS) != "ready":
        raise NotReady(f"{member.role} on {member.address} was not ready in {READY_SECONDS:g} s; see {member.log}")


@contextmanager
def staged(vectors: Vectors, index: IndexParameters, *, shards: int) -> Iterator[Stage]:
    """Yield a stage without processes and rows; everything ends with the block."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        emulator = start(port, Path(folder))
        os.environ.update(aws_environment(f"http://127.0.0.1:{port}"))
        stage = Stage(Path(folder), np.ascontiguousarray(vectors), index, shards)
        try:
            stage.prepare()
            yield stage
        finally:
            stage.stop()
            emulator.kill()
            emulator.wait()


@contextmanager
def standing(
    vectors: Vectors, index: IndexParameters, processors: set[int], *, shards: int = 1, threads: int | None = None
) -> Iterator[Stage]:
    """Yield a stage that holds the vectors: a node of each shard and a router, on these processors."""
    with staged(vectors, index, shards=shards) as stage:
        stage.fill(threads or len(os.sched_getaffinity(0)))
        for shard in range(shards):
            stage.add("node", processors, shard=shard)
        stage.add("router", processors)
        yield stage
