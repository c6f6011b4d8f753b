"""Real replicas of which one forgets a document: a router finds out, S3 says who is wrong, and that one is replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire.busy import Searching
from tests.wire.service_fleet import PROJECT, Member, ServiceFleet, aws_environment, documents, eventually, new_fleet

Connect = Callable[[str], Any]

# Every Python of the node finds it; a serving process that is not a successor forgets one document.
FORGETFUL = """
import sys

if "serve" in sys.argv and "--snapshot" not in sys.argv:
    from service.index.collection import CollectionIndex

    apply = CollectionIndex.apply

    def forgetful(self, record):
        if record.source_id != "first/7":
            apply(self, record)

    CollectionIndex.apply = forgetful
"""


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceFleet]:
    """One shard with two replicas, of which the second is forgetful."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "forgetful").mkdir()
    (tmp_path / "forgetful" / "sitecustomize.py").write_text(FORGETFUL)
    one = new_fleet(connect, emulator, tmp_path / "fleet", shards=1)
    one.configure(2)
    for role, replica in (("indexer", ""), ("router", ""), ("node", "a"), ("node", "b")):
        one.add(role, 0, replica)
    one.nodes[1].environment["PYTHONPATH"] = f"{tmp_path / 'forgetful'}:{PROJECT}"
    try:
        for member in one.members:
            member.start()
        one.await_ready()
        yield one
    finally:
        one.stop()


def _digest(node: Member) -> str:
    return str((node.ready() or {"digest": ""})["digest"])


def test_a_replica_that_lacks_a_document_is_replaced(fleet: ServiceFleet) -> None:
    sound, forgetful = fleet.nodes
    client = fleet.client()
    position = client.write(documents([f"first/{number}" for number in range(20)], "words about first"))["position"]
    fleet.await_position(position)
    with Searching(fleet) as searching:
        eventually(lambda: "is not what the log says" in forgetful.log.read_text(), "the comparison")
        eventually(lambda: _digest(forgetful) == _digest(sound) != "", "the same documents in both")
        eventually(lambda: "taken over" in forgetful.log.read_text(), "the forgetful process gone")
    assert searching.wrong == []
    eventually(lambda: "is what the log says" in sound.log.read_text(), "the sound one's comparison")
    assert "replicas of a shard diverged" in fleet.routers[0].log.read_text()
    assert "taken over" not in sound.log.read_text()
