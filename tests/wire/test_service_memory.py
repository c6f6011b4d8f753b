"""Indexers and bulk workers with processes of their own share an embedding memory, whatever build they extend."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.embedding.remote import PROBE
from service.storage.builds import Slots
from service.storage.objects import ObjectStore
from tests.service.model_server import ModelServer, serving, texts_of
from tests.service.shard_history import histories, summed, write
from tests.service.small_space import DIMS
from tests.stack_outputs import written
from tests.wire.service_fleet import PROJECT, ServiceFleet, aws_environment, eventually, new_fleet, value_of

Connect = Callable[[str], Any]
BATCHES = 60


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(ModelServer()) as made:
        yield made


@pytest.fixture
def fleet(
    connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ModelServer
) -> Iterator[ServiceFleet]:
    """A documents log and a model that answers over HTTP; nothing runs."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    one = new_fleet(connect, emulator, tmp_path / "fleet", shards=2)
    one.embedding = {"provider": "openai", "model": "words", "version": "1", "dims": DIMS, "url": f"{server.url}/v1"}
    one.configure(replicas=1)
    yield one
    one.stop()


@pytest.mark.parametrize("ends", [False, True])
def test_a_slot_of_other_shards_asks_the_model_for_nothing(
    fleet: ServiceFleet, server: ModelServer, ends: bool
) -> None:
    batches = histories(14, batches=60, sources=20, hopeless=0)
    write(ObjectStore(fleet.documents), batches)
    blue = fleet.add("indexer")
    blue.start()
    eventually(lambda: blue.reaches(len(batches)), "blue at the head")
    embedded = value_of(blue.url, "vectorfleet_memory_misses_total")
    assert embedded > 50
    if ends:
        blue.end()
    else:
        eventually(lambda: value_of(blue.url, "vectorfleet_memory_vectors") == embedded, "the memory of blue in S3")
    before = len(server.requests)
    fleet.parameter("fleet", {"shards": 3, "replicas": 1, "metrics_period_seconds": 10, "access_keys": ""})
    green = fleet.add("indexer", slot="green")
    green.start()
    eventually(lambda: green.reaches(len(batches)), "green at the head")
    names = ("model_calls", "misses", "hits")
    calls, misses, hits = (value_of(green.url, f"vectorfleet_memory_{name}_total") for name in names)
    assert (calls, misses) == (0, 0)
    assert hits >= embedded
    # A new embedder begins with one text of its own.
    assert [texts_of(body) for body in server.requests[before:]] == [[PROBE]]
    index = ObjectStore(fleet.index)
    builds = [Slots(index).find(slot) for slot in ("blue", "green")]
    assert [build.recipe.shards for build in builds if build] == [2, 3]
    first, second = (summed(index, build) for build in builds if build)
    assert first == second


@pytest.fixture
def embed(fleet: ServiceFleet, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """The verb `embed` as a process, for a slot without a build and a documents log of BATCHES entries."""
    outputs = written(tmp_path, parameters=f"/vectorfleet/{fleet.name}")
    write(ObjectStore(fleet.documents), histories(14, batches=BATCHES, sources=20, hopeless=0))

    def called(*words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "vectorfleet", "embed", "--json", "--outputs", str(outputs), *words]
        environment = {**os.environ, **aws_environment(fleet.endpoint)}
        return subprocess.Popen(argv, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True)

    return called


def _result(process: subprocess.Popen[str], seconds: float = 120.0) -> dict[str, Any]:
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0
    return dict(json.loads(said))


def _index_without_a_model(fleet: ServiceFleet) -> None:
    indexer = fleet.add("indexer")
    indexer.start()
    eventually(lambda: indexer.reaches(BATCHES), "the indexer at the head")
    assert value_of(indexer.url, "vectorfleet_memory_misses_total") == 0
    assert value_of(indexer.url, "vectorfleet_memory_hits_total") > 50


def test_parts_by_hand_leave_the_indexer_nothing_to_ask(
    fleet: ServiceFleet, embed: Callable[..., subprocess.Popen[str]], server: ModelServer
) -> None:
    expected = _result(embed("--estimate"))
    done = [_result(embed("--part", part)) for part in ("1/3", "2/3", "3/3")]
    texts = [text for asked in server.asked() for text in asked if text != PROBE]
    count = sum(one["texts"] for one in done)
    assert expected["texts"] == pytest.approx(count, rel=0.25)
    assert sum(one["asked"] for one in done) == len({*texts})
    again = _result(embed("--part", "1/1"))
    assert (again["texts"], again["asked"], again["failed"]) == (count, 0, 0)
    _index_without_a_model(fleet)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: make bulk")
def test_a_killed_worker_of_a_ray_cluster_is_made_good(
    fleet: ServiceFleet, embed: Callable[..., subprocess.Popen[str]], server: ModelServer
) -> None:
    reached, released = threading.Event(), threading.Event()

    def waits(texts: list[str]) -> None:
        if len(server.requests) >= 12:
            reached.set()
            released.wait(60)

    server.fails = waits
    job = embed("--workers", "2")
    try:
        assert reached.wait(90)
        killed = _ray_workers(job)[0]
        killed.kill()
        eventually(lambda: not killed.is_running(), "the end of a worker")
        released.set()
        done = _result(job)
    finally:
        released.set()
        for process in (*psutil.Process(job.pid).children(recursive=True), job) if job.poll() is None else ():
            process.kill()
    assert done["failed"] == 0
    assert done["documents"] == sum(map(len, histories(14, batches=BATCHES, sources=20, hopeless=0)))
    _index_without_a_model(fleet)


def _ray_workers(job: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that embed."""
    every = psutil.Process(job.pid).children(recursive=True)
    return [one for one in every if "RayWorker" in " ".join(one.cmdline())]
