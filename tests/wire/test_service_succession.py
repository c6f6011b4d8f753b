"""A fresh process takes a node's port over with the next generation: no search fails, a bad one changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.index.rebuild_policy import QUIET_DELTA_ROWS
from service.storage import snapshot
from service.storage.builds import Slots
from service.storage.objects import ObjectStore
from tests.wire.busy import Searching
from tests.wire.service_fleet import Member, ServiceFleet, aws_environment, booted_fleet, documents, eventually

Connect = Callable[[str], Any]
FILLING = QUIET_DELTA_ROWS + 60


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceFleet]:
    """One shard with one replica: nobody else can answer while it changes processes."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    with booted_fleet(connect, emulator, tmp_path / "fleet", shards=1, replicas=1) as one:
        yield one


def _processes(node: Member, verb: str) -> list[psutil.Process]:
    """Its children that run this verb of the service."""
    assert node.child is not None
    try:
        return [one for one in psutil.Process(node.child.pid).children(recursive=True) if verb in one.cmdline()]
    except psutil.NoSuchProcess:
        return []


def _successors(node: Member) -> list[psutil.Process]:
    return [one for one in _processes(node, "serve") if "--snapshot" in one.cmdline()]


def _fill(fleet: ServiceFleet, prefix: str) -> int:
    names = [f"{prefix}/{number}" for number in range(FILLING)]
    position: int = fleet.client().write(documents(names, f"words about {prefix}"))["position"]
    fleet.await_position(position)
    return position


def _report(node: Member) -> dict[str, Any]:
    return eventually(node.ready, "the node ready") or {}


def test_no_search_fails_during_a_take_over(fleet: ServiceFleet) -> None:
    (node,) = fleet.nodes
    (first,) = _processes(node, "serve")
    position = _fill(fleet, "first")
    with Searching(fleet) as searching:
        eventually(lambda: _report(node)["generation"] == 1, "a process with the new generation")
        eventually(lambda: not first.is_running(), "the process before gone")
        answered = [len(positions) for positions in searching.positions]
        eventually(
            lambda: all(len(now) > then for now, then in zip(searching.positions, answered, strict=True)),
            "a search after it",
        )
    assert searching.wrong == []
    assert min(map(min, searching.positions)) >= position
    (serving,) = _processes(node, "serve")
    assert "--snapshot" in serving.cmdline()
    assert _report(node)["restored_from"].startswith("snapshot ")
    assert "taken over" in node.log.read_text()


def test_a_killed_successor_is_followed_by_another(
    fleet: ServiceFleet,
) -> None:
    (node,) = fleet.nodes
    (first,) = _processes(node, "serve")
    _fill(fleet, "first")
    with Searching(fleet) as searching:
        (successor,) = eventually(lambda: _successors(node), "a successor")
        os.kill(successor.pid, signal.SIGKILL)
        eventually(lambda: not successor.is_running(), "the successor gone")
        assert first.is_running()
        eventually(lambda: _report(node)["generation"] == 1, "another successor")
    assert searching.wrong == []


def test_a_damaged_snapshot_never_reaches_the_server(fleet: ServiceFleet) -> None:
    (node,) = fleet.nodes
    (first,) = _processes(node, "serve")
    store = ObjectStore(fleet.index)
    slot = Slots(store).find("blue")
    assert slot is not None
    _fill(fleet, "first")
    with Searching(fleet) as searching:
        name = eventually(lambda: snapshot.names(store, slot.id, 0), "a snapshot")[0]

        def refused() -> bool:
            """Each successor's end stands for a file that ends whoever loads it."""
            for one in _successors(node):
                one.kill()
            return f"snapshot {name}: 3 processes" in node.log.read_text()

        eventually(refused, "the snapshot refused")
    assert (_report(node)["generation"], first.is_running(), searching.wrong) == (0, True, [])


def test_node_and_serving_process_end_together(fleet: ServiceFleet) -> None:
    (node,) = fleet.nodes
    for whose in ("node", "serve"):
        (serving,) = _processes(node, "serve")
        child, node.child = node.child, None
        assert child is not None
        os.kill(child.pid if whose == "node" else serving.pid, signal.SIGKILL)
        assert child.wait(timeout=20) == (-signal.SIGKILL if whose == "node" else 128 + signal.SIGKILL)
        serving.wait(timeout=20)
        node.start()
        eventually(node.ready, "the node ready again")
