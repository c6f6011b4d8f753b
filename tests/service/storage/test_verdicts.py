"""A snapshot's newest verdict counts, whichever process gave it. A damaged snapshot is refused until it is proven
again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.node.replica import Replica
from service.router.answers import Snapshot
from service.router.s3_view import S3View
from service.router.verification import REFUSED, Verification
from service.storage import snapshot, verdicts
from service.storage.objects import Unanswered
from service.storage.snapshot import prefix_of
from service.storage.verdicts import Level, Verdict
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, index_all, shard_store, snapshot_at, write
from tests.service.small_space import build

BUILD = build(shards=1)


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    """A shard with one snapshot."""
    store = MemoryStore()
    write(store, histories(1, batches=4))
    index_all(store, BUILD)
    snapshot_at(shard_store(store, BUILD, 0, tmp_path / "builder"), 1, 1)
    return store


def _name(store: MemoryStore) -> str:
    return snapshot.names(store, BUILD.id, 0)[0]


def _rows_key(store: MemoryStore) -> str:
    return f"{prefix_of(BUILD.id, 0)}{_name(store)}/rows.arrow"


def _damage(store: MemoryStore) -> bytes:
    """Flip a bit of the rows; return the bytes before."""
    key = _rows_key(store)
    body = store.objects[key]
    store.objects[key] = body[:100] + bytes([body[100] ^ 1]) + body[101:]
    return body


def _newest(store: MemoryStore) -> Verdict | None:
    return verdicts.newest(store, BUILD, 0, _name(store))


def _listed(store: MemoryStore) -> Snapshot:
    return asyncio.run(S3View(store, store).snapshots(BUILD, 1)).shards[0].newest[0]


def _verified(store: MemoryStore) -> Verification:
    async def run() -> Verification:
        one = Verification(store, "a router")
        listed = await S3View(store, store).snapshots(BUILD, 1)
        assert one.ask(BUILD, listed) is one.ask(BUILD, listed)
        assert one._running is not None
        await one._running
        return one

    return asyncio.run(run())


def test_a_verification_records_level_and_time(store: MemoryStore) -> None:
    before = _listed(store)
    assert (before.refused, before.level, before.verified_by) == ("", "manifest", "")
    assert _verified(store).refused == 0
    after = _listed(store)
    assert (after.refused, after.level, after.verified_by) == ("", "files", "a router")
    assert after.verified_ms > 0


def test_a_flipped_bit_is_refused_until_a_later_verification(store: MemoryStore) -> None:
    _verified(store)
    body = _damage(store)
    assert _listed(store).refused == ""
    assert _verified(store).refused == 1
    damaged = _listed(store)
    assert "rows.arrow has" in damaged.refused
    assert (damaged.level, damaged.verified_by, damaged.rows > 0) == ("manifest", "a router", True)
    assert REFUSED._value.get() == 1
    store.objects[_rows_key(store)] = body
    assert _verified(store).refused == 0
    repaired = _listed(store)
    assert (repaired.refused, repaired.level) == ("", "files")
    assert repaired.verified_ms > damaged.verified_ms


def test_a_lost_file_is_refused(store: MemoryStore) -> None:
    del store.objects[_rows_key(store)]
    _verified(store)
    assert "rows.arrow is missing" in _listed(store).refused


def test_a_store_that_does_not_answer_gives_no_verdict(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(key: str) -> None:
        raise Unanswered(key)

    monkeypatch.setattr(store, "blocks", silent)
    _verified(store)
    assert _newest(store) is None


def test_a_node_that_served_a_snapshot_records_it(store: MemoryStore, tmp_path: Path) -> None:
    Replica(shard_store(store, BUILD, 0, tmp_path / "node")).boot()
    assert (_listed(store).level, _listed(store).verified_by) == ("served", "a node of shard 0")


def test_a_later_verification_renews_the_time_not_the_level(store: MemoryStore, tmp_path: Path) -> None:
    Replica(shard_store(store, BUILD, 0, tmp_path / "node")).boot()
    before = _listed(store)
    _verified(store)
    after = _listed(store)
    assert (after.level, after.verified_by, after.verified_ms > before.verified_ms) == ("served", "a router", True)


def test_a_copy_on_a_disk_proves_nothing_about_the_store(store: MemoryStore, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    Replica(shard_store(store, BUILD, 0, folder)).boot()
    _damage(store)
    _verified(store)
    # It has the files from before, and serves those.
    again = Replica(shard_store(store, BUILD, 0, folder))
    again.boot()
    assert again.served_snapshot
    assert "rows.arrow has" in _listed(store).refused


def test_a_node_that_refuses_a_snapshot_records_it(store: MemoryStore, tmp_path: Path) -> None:
    _damage(store)
    replica = Replica(shard_store(store, BUILD, 0, tmp_path / "node"))
    replica.boot()
    assert replica.restored_from == "the log alone"
    found = verdicts.refused(store, BUILD)
    assert [(one.shard, one.name) for one in found] == [(0, _name(store))]
    assert found[0].verdict.refused == replica.refused[0] == _listed(store).refused


def test_a_deleted_snapshot_is_no_longer_refused(store: MemoryStore) -> None:
    verdicts.refuse(store, BUILD, 0, _name(store), "damaged", "a")
    assert len(verdicts.refused(store, BUILD)) == 1
    for key in [*store.keys(prefix_of(BUILD.id, 0))]:
        store.delete(key)
    assert verdicts.refused(store, BUILD) == []


def test_an_unreadable_verdict_counts_as_none(store: MemoryStore) -> None:
    store.fault_of = lambda number, key: "unavailable" if "/refused/" in key else ""
    verdicts.refuse(store, BUILD, 0, _name(store), "damaged", "a")
    assert _newest(store) is None
    store.fault_of = lambda number, key: ""
    verdicts.refuse(store, BUILD, 0, _name(store), "damaged", "a")
    (key,) = store.keys(f"builds/{BUILD.id}/refused/")
    store.objects[key] = b"\xff"
    assert _newest(store) is None


@given(st.lists(st.sampled_from(["refused", "files", "served"]), min_size=1, max_size=8), st.data())
def test_the_newest_verdict_counts_also_if_clocks_differ(words: list[str], data: st.DataObject) -> None:
    store = MemoryStore()
    for word in words:
        # The clock has a resolution of one second.
        now_ms = data.draw(st.integers(0, 1_000))
        store.clock.now_ms = lambda now_ms=now_ms: now_ms  # type: ignore[method-assign, misc]
        if word == "refused":
            verdicts.refuse(store, BUILD, 0, "s", "damaged", "a")
        else:
            level: Level = "served" if word == "served" else "files"
            verdicts.prove(store, BUILD, 0, "s", level, "a")
    found = verdicts.newest(store, BUILD, 0, "s")
    assert found is not None
    since = words[len(words) - words[::-1].index("refused") :] if "refused" in words else words
    expected = "listed" if not since else "served" if "served" in since else "files"
    assert (found.level, bool(found.refused)) == (expected, not since)
