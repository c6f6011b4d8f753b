"""A fleet whose parameters change under it: what only searches read comes into force, all else is refused by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.stack_outputs import written
from tests.wire.service_fleet import INDEX, PROJECT, Member, ServiceFleet, booted_fleet, documents, eventually


@pytest.fixture
def fleet(connect: Callable[[str], Any], emulator: str, tmp_path: Path) -> Iterator[ServiceFleet]:
    with booted_fleet(connect, emulator, tmp_path / "fleet", shards=2, replicas=1) as one:
        yield one


def _restart(fleet: ServiceFleet, *members: Member) -> None:
    for member in members:
        member.end()
        member.start()
    fleet.await_ready()


def _generation(node: Member) -> int:
    return int((node.ready() or {"generation": 0})["generation"])


def _said(fleet: ServiceFleet, folder: Path, *arguments: str) -> str:
    """Return the output of `vectorfleet fleet`."""
    outputs = written(folder, fleet=fleet.name, endpoint=fleet.routers[0].url, shards=fleet.shards)
    argv = [sys.executable, "-m", "vectorfleet", "fleet", "--outputs", str(outputs), *arguments]
    ran = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout


def test_an_effort_changes_and_what_a_build_is_made_by_does_not(fleet: ServiceFleet, tmp_path: Path) -> None:
    client = fleet.client()
    head = client.write(documents([f"n{n}" for n in range(40)], "lanterns"))["position"]
    fleet.await_position(head)
    client.take_snapshots()
    for node in fleet.nodes:
        eventually(partial(_generation, node), "a base")

    fleet.parameter("index", INDEX | {"ef_search": 250})
    _restart(fleet, *fleet.indexers, *fleet.nodes)
    for node in fleet.nodes:
        said = node.ready()
        assert said is not None
        assert said["restored_from"].startswith("snapshot ")
        assert (said["index"]["ef_search"], said["adjusted"], said["misconfigured"]) == (250, {}, "")
    assert client.status()["misconfigured"] == ""
    assert _said(fleet, tmp_path, "--field", "indexer") == "ready\n"

    fleet.parameter("index", INDEX | {"ef_search": 250, "m": 24})
    # Said before any process has started with it.
    eventually(lambda: "index.m 16 → 24" in client.status()["misconfigured"], "the refusal")
    _restart(fleet, *fleet.indexers, *fleet.nodes)
    for member in (*fleet.indexers, *fleet.nodes):
        said = member.ready()
        assert said is not None
        assert "index.m 16 → 24" in said["misconfigured"]
    # The build that stands is extended and searched as before.
    written = client.write(documents(["late"], "harbours"))["position"]
    fleet.await_position(written)
    assert client.search(text="harbours", min_position=written)["hits"][0]["source_id"] == "late"
    printed = _said(fleet, tmp_path)
    assert "The configuration is refused: slot blue keeps build" in printed
    assert fleet.indexers[0].instance in printed
