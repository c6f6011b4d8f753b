"""I3 against the emulated S3: a replica comes back from any state of its snapshots, or says what it refused."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runbooks.fleet.status import see
from service.node.replica import Replica
from service.storage import snapshot
from service.storage.builds import Build, Slots
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log
from tests.service.shard_history import histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import DIMS, build
from tests.wire.service_fleet import (
    PROJECT,
    Member,
    ServiceFleet,
    aws_environment,
    booted_fleet,
    documents,
    eventually,
    get,
    new_bucket,
    refused,
    s3_faults,
)

Connect = Callable[[str], Any]
BUILD = build(shards=1)


@pytest.fixture(scope="module")
def environment(emulator: str) -> Iterator[None]:
    """Every client of this module speaks to the emulator."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in aws_environment(emulator).items():
            patched.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def store(connect: Connect, environment: None, tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    """A shard of nine entries with snapshots after entries 3 and 6; tests leave it as it was."""
    store = ObjectStore(new_bucket(connect, "index"))
    for batch in histories(21, batches=9):
        write(store, [batch])
        index_all(store, BUILD)
    for generation, entry in ((1, 3), (2, 6)):
        snapshot_at(shard_store(store, BUILD, 0, tmp_path_factory.mktemp("builder")), entry, generation)
    return store


def _booted(store: ObjectStore, folder: Path, index: Build = BUILD) -> Replica:
    replica = Replica(shard_store(store, index, 0, folder))
    replica.boot()
    return replica


def _state(replica: Replica) -> tuple[str, int, int]:
    return replica.index.digest, replica.index.rows, replica.position


@contextmanager
def _spoiled(connect: Connect, bucket: str, key: str, how: str) -> Iterator[None]:
    """An object spoiled behind the store's back while the block runs."""
    s3 = connect("s3")
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    middle = len(body) // 2
    if how == "missing":
        s3.delete_object(Bucket=bucket, Key=key)
    else:
        other = {
            "flipped": body[:middle] + bytes([body[middle] ^ 4]) + body[middle + 1 :],
            "truncated": body[:middle],
            "foreign": b"an object of somebody else",
        }[how]
        s3.put_object(Bucket=bucket, Key=key, Body=other)
    try:
        yield
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def test_every_path_gives_the_same_state(store: ObjectStore, connect: Connect, tmp_path: Path) -> None:
    newest = _booted(store, tmp_path / "newest")
    other = build(shards=1, name="b-other")
    index_all(store, other)
    states = [_state(newest), _state(_booted(store, tmp_path / "other", other))]
    sources = [newest.restored_from]
    with ExitStack() as gone:
        for name in snapshot.names(store, BUILD.id, 0):
            key = f"{snapshot.prefix_of(BUILD.id, 0)}{name}/manifest.json"
            gone.enter_context(_spoiled(connect, store.bucket, key, "missing"))
            replica = _booted(store, tmp_path / name)
            states.append(_state(replica))
            sources.append(replica.restored_from)
    assert len(set(states)) == 1
    assert [source.split("-")[0] for source in sources] == [
        "snapshot 00000000000000000006",
        "snapshot 00000000000000000003",
        "the log alone",
    ]


@pytest.mark.parametrize("how", ["flipped", "truncated", "foreign", "missing"])
@pytest.mark.parametrize("file", ["manifest.json", "rows.arrow", "graph.hnsw"])
def test_a_damaged_object_leads_to_an_older_snapshot(
    store: ObjectStore, connect: Connect, tmp_path: Path, file: str, how: str
) -> None:
    newest, older = snapshot.names(store, BUILD.id, 0)
    right = _state(_booted(store, tmp_path / "right"))
    with _spoiled(connect, store.bucket, f"{snapshot.prefix_of(BUILD.id, 0)}{newest}/{file}", how):
        replica = _booted(store, tmp_path / "disk")
    assert _state(replica) == right
    assert replica.restored_from == f"snapshot {older}"
    assert all(newest in reason for reason in replica.refused)
    # Without its manifest a snapshot does not exist, so there is nothing to refuse.
    assert len(replica.refused) == ((file, how) != ("manifest.json", "missing"))


@pytest.mark.parametrize("how", ["flipped", "truncated", "foreign"])
def test_a_damaged_entry_stops_the_replay_before_it(
    store: ObjectStore, connect: Connect, tmp_path: Path, how: str
) -> None:
    right = _state(_booted(store, tmp_path / "disk"))
    key = shard_log(store, BUILD.id, 0, DIMS).key(8)
    with _spoiled(connect, store.bucket, key, how):
        replica = _booted(store, tmp_path / "disk")
    assert (replica.position, replica.restored, replica.ready) == (7, True, False)
    assert "b-test/shard-00 entry 8" in replica.stale
    assert _state(_booted(store, tmp_path / "disk")) == right


def test_a_store_that_stumbles_is_asked_again_while_restoring(
    store: ObjectStore, emulator: str, tmp_path: Path
) -> None:
    right = _state(_booted(store, tmp_path / "right"))
    faults = ("unavailable", "lost_reply", "delay")
    rules = [{"method": "GET", "bucket": store.bucket, "fault": fault} for fault in faults]
    with s3_faults(emulator, *rules):
        replica = _booted(store, tmp_path / "disk")
    assert (_state(replica), replica.refused) == (right, [])


@pytest.fixture(scope="module")
def fleet(
    connect: Connect, emulator: str, environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceFleet]:
    """One node, one indexer, one router, and a second slot's indexer, not started."""
    with booted_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=1, replicas=1) as one:
        yield one


def _restarted(node: Member) -> dict[str, Any]:
    """Return its report once it has restored what it can and knows the position it must cover."""
    node.kill()
    node.start()
    report: dict[str, Any] = eventually(lambda: _report(node), "node restored")
    return report


def _report(node: Member) -> dict[str, Any] | None:
    _, _, body = get(f"{node.url}/readyz", timeout_seconds=1)
    report = msgspec.json.decode(body, type=dict[str, Any])
    return report if report.get("restored") and report["covers"] is not None else None


def test_a_node_names_refused_objects_and_serves_the_rest(fleet: ServiceFleet, connect: Connect) -> None:
    (node,) = fleet.nodes
    client = fleet.client()
    for batch in range(4):
        position = client.write(documents([f"n{batch}.{n}" for n in range(5)], "some words"))["position"]
        # An entry of the shard log each.
        fleet.await_position(position)
    index = ObjectStore(fleet.index)
    slot = Slots(index).find("blue")
    assert slot is not None
    right = node.ready()
    assert right is not None
    log = shard_log(index, slot.id, 0, slot.recipe.embedding.dims)
    builder = shard_store(index, slot, 0, fleet.root / "builder")
    names = [snapshot_at(builder, entry, number) for number, entry in ((1, log.head() - 2), (2, log.head() - 1))]
    graph = f"{snapshot.prefix_of(slot.id, 0)}{names[1]}/graph.hnsw"
    with _spoiled(connect, fleet.index, graph, "flipped"):
        report = _restarted(node)
    assert (report["digest"], report["position"], report["ready"]) == (right["digest"], right["position"], True)
    assert report["restored_from"] == f"snapshot {names[0]}"
    assert names[1] in report["refused"][0]
    with _spoiled(connect, fleet.index, log.key(log.head()), "flipped"):
        report = _restarted(node)
        assert (report["position"], report["ready"]) == (position - 1, False)
        assert "sha256 differs" in report["stale"]
        eventually(lambda: client.status()["shards"][0]["replicas"][0]["stale"], "stale in the router's status")
        # It is the only one, so the shard has no ready replica.
        assert (see(client, 1).state, see(client, 1).behind[0].reason) == (
            "shard-missing",
            f"every replica has stopped: {report['stale']}",
        )
    fleet.await_position(position)
    repaired = node.ready()
    assert repaired is not None
    assert (repaired["digest"], repaired["stale"]) == (right["digest"], "")


def test_another_slot_indexed_anew_has_the_same_digest(fleet: ServiceFleet) -> None:
    indexer, node = fleet.add("indexer", slot="green"), fleet.add("node", 0, "a", slot="green")
    position = fleet.client().write(documents(["last"], "the last words"))["position"]
    fleet.await_position(position)
    for member in (indexer, node):
        member.start()
    blue = fleet.nodes[0].ready()
    eventually(lambda: node.reaches(position), "green at the position of blue")
    green = node.ready()
    assert blue is not None
    assert green is not None
    assert (green["digest"], green["rows"], green["documents"]) == (blue["digest"], blue["rows"], blue["documents"])
    assert green["build"] != blue["build"]
    # The router of blue asks only the nodes of its own slot.
    assert fleet.seen_ready() == {fleet.nodes[0].instance}


def _written(fleet: ServiceFleet, name: str, count: int) -> list[str]:
    """Documents that the running nodes have, in an entry of the shard log each."""
    names = [f"{name}{number}" for number in range(count)]
    for one in names:
        fleet.await_position(fleet.client().write(documents([one], "words that are kept"))["position"])
    return names


def _lost(fleet: ServiceFleet, keys: Iterable[str]) -> None:
    for key in list(keys):
        fleet.connect("s3").delete_object(Bucket=fleet.index, Key=key)


def _assert_says_so(fleet: ServiceFleet, reason: str) -> None:
    """The only node is not ready, for this reason; its answers are flagged, and look-ups refused."""
    eventually(lambda: reason in fleet.client().status()["shards"][0]["replicas"][0]["reason"], "the reason")
    assert fleet.seen_ready() == set()
    answer = fleet.client().search(text="words that are kept", k=100)
    assert (answer["partial"], answer["shards_total"]) == (True, 1)
    refused(503, "0 of 1 shards answered", lambda: fleet.client().lookup(["kept0"]))


@pytest.fixture
def small(connect: Connect, emulator: str, environment: None, tmp_path: Path) -> Iterator[ServiceFleet]:
    """A fleet of one node, to be damaged."""
    with booted_fleet(connect, emulator, tmp_path, shards=1, replicas=1) as one:
        yield one


def _slot(fleet: ServiceFleet) -> Build:
    slot = Slots(fleet.index_store()).find("blue")
    assert slot is not None
    return slot


def test_a_hole_of_nine_entries_is_named_and_made_good(small: ServiceFleet) -> None:
    """Deleted behind the newest snapshot, with the node and the indexer lost: eight entries are read ahead."""
    (node,), (indexer,) = small.nodes, small.indexers
    names = _written(small, "kept", 14)
    slot, right = _slot(small), node.ready()
    assert right is not None
    log = shard_log(small.index_store(), slot.id, 0, slot.recipe.embedding.dims)
    snapshot_at(shard_store(small.index_store(), slot, 0, small.root / "builder"), 3, 1)
    indexer.kill()
    _lost(small, map(log.key, range(4, 13)))
    report = _restarted(node)
    assert (report["position"], report["ready"]) == (3, False)
    assert report["stale"] == f"{log.name} entries 4 to 12 are missing, but entry 13 is there"
    _assert_says_so(small, "entries 4 to 12 are missing")
    assert len(small.client().search(text="words that are kept", k=100)["hits"]) == 3
    # The indexer that comes back has the documents, and makes the entries again.
    indexer.start()
    small.await_ready()
    found = small.client().lookup(names, 14)["documents"]
    assert [name for name in names if found[name] is None] == []
    again = node.ready()
    assert again is not None
    assert (again["digest"], again["stale"], again["position"]) == (right["digest"], "", 14)


def test_a_wiped_shard_is_not_ready_before_it_is_indexed(small: ServiceFleet) -> None:
    """With the slot's pointer left, and an indexer that learns of it only when it starts again."""
    (node,), (indexer,) = small.nodes, small.indexers
    names = _written(small, "kept", 12)
    slot, right = _slot(small), node.ready()
    assert right is not None
    indexer.kill()
    _lost(small, small.index_store().keys("builds/"))
    report = _restarted(node)
    assert (report["position"], report["rows"], report["ready"]) == (0, 0, False)
    _assert_says_so(small, "applied up to documents position 0; ready from 12")
    indexer.start()
    small.await_ready()
    found = small.client().lookup(names, 12)["documents"]
    assert [name for name in names if found[name] is None] == []
    again = node.ready()
    assert again is not None
    assert (again["digest"], again["build"]) == (right["digest"], slot.id)


def test_an_emptied_index_bucket_is_indexed_into_another_build(small: ServiceFleet) -> None:
    names = _written(small, "kept", 5)
    before = _slot(small)
    for member in small.members:
        member.kill()
    _lost(small, small.index_store().keys(""))
    for member in small.members:
        member.start()
    small.await_ready()
    found = small.client().lookup(names, 5)["documents"]
    assert [name for name in names if found[name] is None] == []
    assert _slot(small).id != before.id


def test_an_index_bucket_emptied_under_a_running_fleet_heals(small: ServiceFleet) -> None:
    """The node names it in seconds; the indexer looks once a minute; then a fresh process restores what it made."""
    (node,) = small.nodes
    names = _written(small, "kept", 6)
    before, right = _slot(small), node.ready()
    assert right is not None
    _lost(small, small.index_store().keys(""))
    eventually(
        lambda: "was there and is missing now" in (_report(node) or {"reason": ""})["reason"], "named", seconds=100
    )
    healed = eventually(node.ready, "healed", seconds=150)
    assert (healed["digest"], healed["position"], _slot(small)) == (right["digest"], 6, before)
    position = small.client().write(documents(["after"], "words that are kept"))["position"]
    found = small.client().lookup([*names, "after"], position)["documents"]
    assert [name for name in (*names, "after") if found[name] is None] == []


KILLED_BY_ITS_ENTRY = """
import os, pathlib, signal, sys
from service.index.collection import CollectionIndex
from service.node.replica import Replica
from service.storage.objects import ObjectStore
from tests.service.shard_history import shard_store
from tests.service.small_space import build

bucket, folder, deadly = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
apply = CollectionIndex.apply

def apply_or_die(self, record):
    if record.position == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    apply(self, record)

CollectionIndex.apply = apply_or_die
replica = Replica(shard_store(ObjectStore(bucket), build(shards=1), 0, folder))
replica.boot()
print(replica.position, replica.stale)
"""


def test_an_entry_that_kills_three_processes_is_skipped(store: ObjectStore, environment: None, tmp_path: Path) -> None:
    def process(folder: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-c", KILLED_BY_ITS_ENTRY, store.bucket, str(tmp_path / folder), "8"]
        return subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, timeout=60)

    assert [process("disk").returncode for _ in range(3)] == [-signal.SIGKILL] * 3
    fourth = process("disk")
    assert fourth.returncode == 0, fourth.stderr
    assert fourth.stdout.startswith("7 b-test/shard-00 entry 8: 3 processes ended")
    # The next machine has another disk: S3 remembers. When the entry no longer kills, a person lifts the block.
    replaced = _booted(store, tmp_path / "replaced")
    assert (replaced.position, "entry 8" in replaced.stale) == (7, True)
    for key in list(store.keys("builds/b-test/shard-00/crashes/")):
        store.delete(key)
    assert _booted(store, tmp_path / "replaced").position == 9
