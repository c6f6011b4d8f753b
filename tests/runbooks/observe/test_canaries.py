"""Beacons and the plan of writes."""

from __future__ import annotations

import hashlib

from runbooks.observe.canaries import WritePlan, beacons, content_hash
from service.storage import content


def test_beacons_of_one_ledger_share_no_text_with_another() -> None:
    texts = [beacon.text for name in ("one", "two") for beacon in beacons(name, 8)]
    assert len({frozenset(text.split()) for text in texts}) == 16


def test_a_beacon_is_nearer_to_itself_than_to_any_other() -> None:
    words = [set(beacon.text.split()) for beacon in beacons("one", 8)]
    assert all(len(a & b) < len(a) / 2 for a in words for b in words if a is not b)


def test_the_content_hash_is_the_services() -> None:
    assert content_hash("t", "x") == hashlib.sha256(b"t\0x").hexdigest()
    assert content_hash("t", "x") == content.content_hash("t", "x").hex()


def test_only_settled_documents_are_touched_again() -> None:
    plan = WritePlan("x")
    busy: set[str] = set()
    kinds: set[tuple[str, bool]] = set()
    for turn in range(400):
        write = plan.next()
        assert write.source_id not in busy
        kinds.add((write.kind, "again" in write.source_id))
        if turn % 3:
            plan.settled(write)
        else:
            busy.add(write.source_id)
    assert {kind for kind, _ in kinds} == {"upsert", "delete"}


def test_each_write_has_its_own_content_and_request() -> None:
    plan = WritePlan("x")
    writes = []
    for _ in range(300):
        write = plan.next()
        plan.settled(write)
        writes.append(write)
    hashes = [write.content_hash for write in writes if write.content_hash]
    assert len(set(hashes)) == len(hashes)
    assert len({write.document["request_id"] for write in writes}) == 300
    assert len({write.source_id for write in writes}) < 300
