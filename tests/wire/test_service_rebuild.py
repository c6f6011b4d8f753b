"""A slot whose index bucket was emptied gets a new build from the documents log, while it serves."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.client import Client, ServiceError, Unanswered
from tests.stack_outputs import SLOT, written
from tests.wire.service_fleet import (
    ServiceFleet,
    aws_environment,
    booted_fleet,
    documents,
    eventually,
    s3_faults,
)
from vectorfleet.door import main

Connect = Callable[[str], Any]
NAMES = [f"guide/{number}" for number in range(300)]


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceFleet]:
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    with booted_fleet(connect, emulator, tmp_path / "fleet", shards=2, replicas=2) as one:
        yield one


@pytest.fixture
def rebuild(fleet: ServiceFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Result]:
    """Return a call of the verb."""
    monkeypatch.setenv("VECTORFLEET_ENDPOINT", fleet.client().endpoint)
    slots = {"blue": SLOT | {"shards": 2}}
    outputs = str(written(tmp_path, slots=slots, index_bucket=fleet.index, documents_bucket=fleet.documents))

    def called() -> Result:
        words = ["rebuild", "blue", "--yes", "--within", "4m", "--json", "--outputs", outputs]
        return CliRunner().invoke(main, words, catch_exceptions=False)

    return called


class Searches:
    """Searches one after the other: those with whole and partial answers, and why others have none."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.whole = self.partial = 0
        self.wrong: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        ended = threading.Event()

        def ask() -> None:
            while not ended.wait(0.05):
                try:
                    answer = self._client.search(text="keys are rotated", k=5)
                    self.partial += answer["partial"]
                    self.whole += not answer["partial"]
                except (ServiceError, Unanswered) as error:
                    self.wrong.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _empty(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": one["Key"]} for one in page["Contents"]]})


def _builds(connect: Connect, bucket: str) -> set[str]:
    pages = connect("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="builds/")
    return {one["Key"].split("/")[1] for page in pages for one in page["Contents"]}


def _digest(client: Client) -> str:
    """Return the digest of all documents at the head."""
    status = client.status()
    return str(status["digests"].get(str(status["head"]), ""))


def test_an_emptied_index_is_rebuilt_while_it_serves(
    fleet: ServiceFleet, connect: Connect, rebuild: Callable[[], Result]
) -> None:
    client = fleet.client()
    for at in (0, 100, 200):
        position = client.write(documents(NAMES[at : at + 100], "Keys are rotated"))["position"]
    fleet.await_position(position)
    before, old = eventually(lambda: _digest(client), "a digest"), client.status()["build"]
    searches = Searches(client)
    with searches.running():
        _empty(connect, fleet.index)
        done = rebuild()
        assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)["build"]
    assert re.fullmatch(rf"{old}\.[0-9a-f]{{6}}", made)
    # Nodes see that entries are gone, and call their answers partial until they have the new build.
    assert searches.wrong == []
    assert searches.whole + searches.partial > 20
    assert not any(client.search(text="keys are rotated", k=5)["partial"] for _ in range(10))
    assert eventually(lambda: client.status()["build"] == made and _digest(client), "the digest") == before
    assert _builds(connect, fleet.index) == {made}
    late = client.write(documents(["guide/300"], "Keys are rotated"))["position"]
    fleet.await_position(late)
    found = client.lookup([*NAMES, "guide/300"], late)["documents"]
    assert [name for name, place in found.items() if place is None] == []
    # A process that starts now knows only the new build.
    fleet.nodes[0].kill()
    fleet.nodes[0].start()
    fleet.await_ready()
    fleet.await_position(late)


def test_a_rebuild_outlives_the_indexer_and_a_node(
    fleet: ServiceFleet, connect: Connect, emulator: str, rebuild: Callable[[], Result]
) -> None:
    client, (indexer,) = fleet.client(), fleet.indexers
    for at in range(0, 300, 10):
        position = client.write(documents(NAMES[at : at + 10], "Keys are rotated"))["position"]
    fleet.await_position(position)
    before = eventually(lambda: _digest(client), "a digest")
    # Appends to the new build are slow, so that the kills meet its fill.
    slow = {"method": "PUT", "bucket": fleet.index, "key_prefix": "builds/", "fault": "delay", "seconds": 1}
    results: list[Result] = []
    verb = threading.Thread(target=lambda: results.append(rebuild()))
    searches = Searches(client)
    with searches.running():
        with s3_faults(emulator, slow | {"count": 4}):
            verb.start()
            eventually(lambda: len(_builds(connect, fleet.index)) == 2, "entries of the next build")
            indexer.kill()
            fleet.nodes[2].kill()
        indexer.start()
        fleet.nodes[2].start()
        verb.join(timeout=240)
    assert results, "the verb did not end"
    assert results[0].exit_code == 0, results[0].output
    assert (searches.wrong, searches.partial, searches.whole > 20) == ([], 0, True)
    assert eventually(lambda: _digest(client), "the digest") == before
