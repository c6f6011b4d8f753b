"""Records of a shard log, and the shard of a document."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storage.entry import Entry, Header, decode, encode
from service.storage.shards import Record, from_entry, schema, shard_of, to_rows
from tests.service.small_space import DIMS, record, unit


def _sent(records: list[Record]) -> list[Record]:
    header = Header(log="b/shard-00", number=1, append_id="a", predecessor="", stamp_ms=0, start=1, end=2)
    body = encode(header, to_rows(records, DIMS))
    entry: Entry = decode(body, log="b/shard-00", number=1, schema=schema(DIMS))
    return list(from_entry(entry))


@pytest.mark.parametrize(
    ("source_id", "shards", "shard"),
    [
        ("aws/ec2/2016-11-15/TerminateInstances", 1_000, 30),
        ("aws/s3/2006-03-01/PutObject", 1_000, 856),
        ("Grüße", 1_000, 818),
        ("", 1_000, 876),
    ],
)
def test_the_shard_of_a_source_id_never_changes(source_id: str, shards: int, shard: int) -> None:
    assert shard_of(source_id, shards) == shard


def test_source_ids_spread_evenly() -> None:
    counts = Counter(shard_of(f"document {number}", 4) for number in range(4_000))
    assert set(counts) == set(range(4))
    assert max(counts.values()) < 1.15 * min(counts.values())


@given(st.lists(st.integers(0, 4), max_size=6))
def test_records_come_back_with_their_chunks_and_vectors(chunk_counts: list[int]) -> None:
    rng = np.random.default_rng(len(chunk_counts))
    written = [
        record(f"s{number}", unit(rng.normal(size=(count, DIMS))), position=number + 1, rejected="" if count else "why")
        for number, count in enumerate(chunk_counts)
    ]
    read = _sent(written)
    assert [r.vectors.tolist() for r in read] == [r.vectors.tolist() for r in written]
    plain = ("position", "item", "source_id", "title", "content_hash", "chunks", "rejected")
    for name in plain:
        assert [getattr(r, name) for r in read] == [getattr(r, name) for r in written]
