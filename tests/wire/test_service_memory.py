"""Indexers with processes of their own share an embedding memory, whatever build they extend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.embedding.remote import PROBE
from service.storage.builds import Slots
from service.storage.objects import ObjectStore
from tests.service.model_server import ModelServer, serving, texts_of
from tests.service.shard_history import histories, summed, write
from tests.service.small_space import DIMS
from tests.wire.service_fleet import ServiceFleet, aws_environment, eventually, new_fleet, value_of

Connect = Callable[[str], Any]


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
