"""A real node whose disk is full, or whose machine has no memory for a second process, goes on answering."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from service.node.generations import CLAIM_SECONDS
from tests.wire.service_fleet import Member, ServiceFleet, eventually, new_fleet

Connect = Callable[[str], Any]
DIMS = 512
ROWS = 1_200
HELD = np.random.default_rng(5).normal(0, 1, (ROWS, DIMS)).astype(np.float32)
# Less than the rows take alone, and than any snapshot of them.
DISK = "1m"
# Enough for the node's own process, which serves nothing, and not for one that serves.
SPARE_BYTES = 64 << 20
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
SMALL_DISK = (
    *NAMESPACE,
    *("sh", "-c", f'mkdir -p "$VECTORFLEET_DATA" && mount -t tmpfs -o size={DISK} t "$VECTORFLEET_DATA" && exec "$@"'),
    "node",
)


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path) -> Iterator[ServiceFleet]:
    """A router and an indexer of one shard, whose nodes a test adds."""
    one = new_fleet(connect, emulator, tmp_path / "fleet", shards=1)
    one.embedding = {"provider": "given", "model": "ours", "version": "1", "dims": DIMS}
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture
def small_disk() -> tuple[str, ...]:
    """Return the command that runs a process on a private disk of 1 MiB."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("this kernel lets nobody have a mount of his own")
    return SMALL_DISK


def write(fleet: ServiceFleet, first: int, rows: int) -> int:
    """So many documents from row `first` on; the position of the last."""
    chosen = range(first, first + rows)
    return int(fleet.client().write([{"source_id": f"v{row}", "vector": HELD[row]} for row in chosen])["position"])


def finds(fleet: ServiceFleet, row: int, position: int) -> bool:
    """Return True if a complete answer as of this position has the row itself as its best."""
    answer = fleet.client().search(vector=HELD[row], k=1, min_position=position)
    return not answer["partial"] and [hit["source_id"] for hit in answer["hits"]] == [f"v{row}"]


def says(node: Member, words: str) -> bool:
    """Return True if its log has these words."""
    return words in node.log.read_text(encoding="utf-8")


def test_a_snapshot_on_a_full_disk_costs_no_answer(fleet: ServiceFleet, small_disk: tuple[str, ...]) -> None:
    fleet.configure(1)
    members = [fleet.add("indexer"), fleet.add("router"), fleet.add("node", 0, "a")]
    node = members[-1]
    node.before = small_disk
    for member in members:
        member.start()
    fleet.await_ready()
    position = write(fleet, 0, 1_000)
    eventually(lambda: says(node, "the builder failed"), "a builder without room", seconds=60)
    assert finds(fleet, 7, position)
    # Leftovers of the builder would fill the disk, and a full disk refuses writes.
    assert (node.ready() or {"disk_percent": 100.0})["disk_percent"] < 90
    position = eventually(lambda: write(fleet, 1_000, 200), "a write")
    assert finds(fleet, 1_100, position)
    assert fleet.client().snapshots()["shards"][0]["total"] == 0


def test_a_node_without_disk_space_is_not_asked(fleet: ServiceFleet, small_disk: tuple[str, ...]) -> None:
    fleet.boot(replicas=1)
    position = write(fleet, 0, 1_000)
    fleet.client().take_snapshots(min_position=position)
    eventually(lambda: fleet.client().snapshots()["shards"][0]["total"], "a snapshot", seconds=60)
    poor = fleet.add("node", 0, "b")
    poor.before = small_disk
    poor.start()
    eventually(lambda: says(poor, "No space left on device"), "a node that can't start")
    assert poor.ready() is None
    assert finds(fleet, 7, position)
    poor.kill()
    poor.before = ()
    poor.start()
    eventually(lambda: poor.reaches(position), "a node with room")


def test_a_successor_without_memory_leaves_the_old_serving(fleet: ServiceFleet) -> None:
    fleet.boot(replicas=1)
    (node,) = fleet.nodes
    position = write(fleet, 0, 1_000)
    assert node.child is not None
    # Serving processes are children of the node's own process; builders are children of a serving one.
    parent = psutil.Process(node.child.pid)
    parent.rlimit(psutil.RLIMIT_AS, (parent.memory_info().vms + SPARE_BYTES, resource.RLIM_INFINITY))
    fleet.client().take_snapshots(min_position=position)
    eventually(lambda: fleet.client().snapshots()["shards"][0]["total"], "a snapshot", seconds=60)
    eventually(lambda: says(node, "a successor did not take over"), "a successor without memory")
    assert finds(fleet, 7, position)
    assert (node.ready() or {})["generation"] == 0
    parent.rlimit(psutil.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    position = write(fleet, 1_000, 100)
    fleet.client().take_snapshots(min_position=position)
    # If three successors have failed by now, another generation is built once the claim of the first has expired.
    patience = CLAIM_SECONDS + 60
    eventually(lambda: (node.ready() or {"generation": 0})["generation"], "the next base", seconds=patience)
    assert finds(fleet, 1_050, position)
