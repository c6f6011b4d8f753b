"""A mass deletion, undone in a running fleet by the command, with the indexer killed in the midst of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.client import Client
from tests.stack_outputs import SLOT, written
from tests.wire.service_fleet import (
    ServiceFleet,
    aws_environment,
    booted_fleet,
    documents,
    eventually,
    refused,
    s3_faults,
    s3_faults_left,
)
from vectorfleet.door import main

Connect = Callable[[str], Any]
Undo = Callable[..., str]
NAMES = [f"guide/{number}" for number in range(300)]


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceFleet]:
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    with booted_fleet(connect, emulator, tmp_path / "fleet", shards=2, replicas=1) as one:
        yield one


def _held(client: Client, position: int) -> dict[str, int]:
    """Return the position of each document that exists as of a position."""
    found = client.lookup(NAMES, position)["documents"]
    return {name: place["position"] for name, place in found.items() if place is not None}


@pytest.fixture
def undo(fleet: ServiceFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Undo:
    """Return a call of the verb, which must succeed, for its output."""
    monkeypatch.setenv("VECTORFLEET_ENDPOINT", fleet.client().endpoint)
    outputs = str(written(tmp_path, slots={"blue": SLOT | {"shards": 2}}))

    def called(*words: str) -> str:
        done = CliRunner().invoke(main, ["undo", "--outputs", outputs, *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return called


def _undo_over_a_kill(fleet: ServiceFleet, emulator: str, first: int, last: int) -> int:
    """Undo deletions while the indexer ends during its first append of the repair, before the other shard has it.

    Return the position of the undo, once every shard has it.
    """
    client, (indexer,) = fleet.client(), fleet.indexers
    first_log = f"builds/{client.status()['build']}/shard-00/log/"
    slow = {"method": "PUT", "bucket": fleet.index, "key_prefix": first_log, "fault": "delay", "seconds": 5}
    started = time.monotonic()
    with s3_faults(emulator, slow):
        undone = client.undo(first, last, only_deletes=True, request_id="the undo")
        eventually(lambda: not s3_faults_left(emulator), "the repair's first append")
        indexer.kill()
    indexer.start()
    again = client.undo(first, last, only_deletes=True, request_id="the undo")
    assert (again["position"], again["writes"]) == (undone["position"], 300)
    eventually(lambda: min(fleet.positions()) >= undone["position"], "the undo", seconds=60)
    print(f"300 documents were back {time.monotonic() - started:.1f} s after the undo, over a killed indexer")
    return int(undone["position"])


def test_a_mass_deletion_is_undone_and_the_undo_too(fleet: ServiceFleet, emulator: str, undo: Undo) -> None:
    client = fleet.client()
    good = [client.write(documents(NAMES[at : at + 100], "Keys are rotated"))["position"] for at in (0, 100, 200)]
    before = _held(client, good[-1])
    bad = [
        client.write([{"source_id": name, "delete": True} for name in NAMES[at : at + 50]])["position"]
        for at in range(0, 300, 50)
    ]
    late = client.write(documents(NAMES[:1], "Later and good"))["position"]
    assert _held(client, late) == {NAMES[0]: late}

    first, last = str(bad[0]), str(bad[-1])
    plan = json.loads(undo("--from", first, "--to", last, "--only-deletes", "--dry-run", "--json"))
    assert (plan["position"], plan["writes"], plan["deletes"], plan["source_ids"]) == (None, 300, 300, 300)
    assert (plan["restored"]["count"], plan["replaced"]["count"], plan["removed"]["count"]) == (299, 0, 0)
    assert len(plan["restored"]["documents"]) == 20
    assert _held(client, late) == {NAMES[0]: late}

    undone = _undo_over_a_kill(fleet, emulator, bad[0], bad[-1])
    assert _held(client, undone) == before | {NAMES[0]: late}
    hits = client.search(text="keys are rotated in note guide/7", k=300, min_position=undone)["hits"]
    assert {hit["source_id"] for hit in hits} == set(NAMES)
    assert client.document("guide/7")["text"] == "Keys are rotated in note guide/7."

    refused(409, "no write that this would take out", lambda: client.undo(bad[0], bad[-1], only_deletes=True))
    refused(422, "the newest position", lambda: client.undo(bad[0], 10_000))

    own = str(undone)
    said = undo("--from", own, "--to", own, "--yes")
    found = re.fullmatch(r"Undone at position (\d+); every shard had it after ([\d.]+) s\.\n", said)
    assert found is not None, said
    print(f"the undo of the undo took {found[2]} s")
    assert _held(client, int(found[1])) == {NAMES[0]: late}
    taken = json.loads(undo("--from", str(good[0]), "--to", str(good[0]), "--dry-run", "--json"))
    assert (taken["writes"], taken["removed"]["count"]) == (100, 0), "they are deleted already"
