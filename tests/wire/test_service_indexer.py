"""I2 against the emulated S3: each document once in its shard, whatever happens to the indexers."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.storage.builds import Build, Slots
from service.storage.documents import documents_log
from service.storage.objects import ObjectStore
from tests.service.indexing import DIED
from tests.service.shard_history import Batch, fold, folded, histories, index_all, indexer, write
from tests.service.small_space import build
from tests.wire.service_fleet import (
    PROJECT,
    ServiceFleet,
    aws_environment,
    eventually,
    new_bucket,
    new_fleet,
    s3_faults,
)

Connect = Callable[[str], Any]


@pytest.fixture
def store(connect: Connect, emulator: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A bucket of the test's own."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    return ObjectStore(new_bucket(connect, "index"))


def _check(store: ObjectStore, index: Build, batches: list[Batch], *, complete: bool = True) -> None:
    for shard in range(index.recipe.shards):
        live, position = folded(store, index, shard)
        assert live == fold(batches, index, shard, position)
        assert position == len(batches) or not complete


def _dies(store: ObjectStore, index: Build, writes: int, instant: str) -> int:
    argv = [sys.executable, "-m", "tests.service.indexing", store.bucket, index.id, str(writes), instant]
    return subprocess.run(argv, cwd=PROJECT, timeout=60, check=False).returncode


def test_an_end_around_any_write_leaves_nothing_torn(store: ObjectStore) -> None:
    batches = histories(11, batches=9)
    write(store, batches)
    # Every one of the six writes; both instants of each are tried without processes in tests/service.
    deaths = [(n, ("before", "after")[n % 2], build(shards=2, name=f"b-{n}")) for n in range(6)]
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda death: _dies(store, death[2], death[0], death[1]), deaths))
    assert codes == [DIED] * len(deaths)
    for _, _, index in deaths:
        _check(store, index, batches, complete=False)
        index_all(store, index)
        _check(store, index, batches)


def test_indexers_in_threads_on_a_bad_day_agree(store: ObjectStore, emulator: str) -> None:
    batches, index = histories(12, batches=40), build(shards=2)
    write(store, batches[:10])
    done = threading.Event()

    def work() -> None:
        one = indexer(store, index)
        while one.step().entries or not done.is_set():
            pass

    rules = [
        {"method": "PUT", "bucket": store.bucket, "key_prefix": "builds/", "fault": fault, "count": 3}
        for fault in ("lost_reply", "conflict", "unavailable", "lost_reply")
    ]
    with s3_faults(emulator, *rules), ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work) for _ in range(3)]
        write(store, batches[10:])
        done.set()
        for one in working:
            one.result(timeout=60)
    _check(store, index, batches)


@pytest.fixture
def pair(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceFleet]:
    """Two indexer processes of one slot, not started, and nothing else."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    fleet = new_fleet(connect, emulator, tmp_path / "fleet", shards=2)
    fleet.configure(replicas=1)
    for _ in range(2):
        fleet.add("indexer")
    yield fleet
    fleet.stop()


def test_killed_indexers_index_every_document_once(pair: ServiceFleet, emulator: str) -> None:
    """Two at once, killed after random times while documents arrive, the store conflicting at their starts."""
    rng = random.Random(5)
    batches = histories(13, batches=150, sources=20, hopeless=0)
    documents = ObjectStore(pair.documents)
    writer = threading.Thread(target=write, args=(documents, batches))
    rules = [
        {"method": "PUT", "bucket": pair.index, "key_prefix": "conformance/", "fault": "conflict", "count": 2},
        {"method": "PUT", "bucket": pair.index, "key_prefix": "builds/", "fault": "lost_reply", "count": 5},
    ]
    with s3_faults(emulator, *rules):
        for member in pair.indexers:
            member.start()
        for member in pair.indexers:
            eventually(member.ready, "indexer ready")
        writer.start()
        for _ in range(4):
            victim = rng.choice(pair.indexers)
            time.sleep(rng.uniform(0.0, 0.8))
            victim.kill()
            victim.start()
        writer.join()
    assert documents_log(documents).head() == len(batches)
    for member in pair.indexers:
        eventually(partial(member.reaches, len(batches)), "all indexed")
    index = ObjectStore(pair.index)
    slot = Slots(index).find("blue")
    assert slot is not None
    _check(index, slot, batches)
