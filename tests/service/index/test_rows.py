"""Rows keep live records on disk. Digests name a live set, whatever path led to it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.index import rows
from service.storage.entry import Damaged
from service.storage.shards import Record
from tests.service.small_space import DIMS, record, unit


def _records(chunk_counts: list[int]) -> list[Record]:
    rng = np.random.default_rng(1)
    return [
        record(f"s{number}", unit(rng.normal(size=(count, DIMS))), position=number + 1)
        for number, count in enumerate(chunk_counts)
    ]


def _plain(record: Record) -> tuple[object, ...]:
    return (
        record.source_id,
        record.position,
        record.item,
        record.title,
        record.content_hash,
        record.chunks,
        record.vectors.tolist(),
    )


@given(chunk_counts=st.lists(st.integers(0, 4), max_size=8))
def test_records_survive_saving_and_loading(tmp_path_factory: pytest.TempPathFactory, chunk_counts: list[int]) -> None:
    written = _records(chunk_counts)
    path = tmp_path_factory.mktemp("rows") / "rows.arrow"
    rows.save(rows.from_records(written, DIMS), path)
    loaded = rows.load(path, DIMS)
    assert loaded.vectors.shape == (sum(chunk_counts), DIMS)
    assert [_plain(r) for r in loaded.records(0)] == [_plain(r) for r in written if r.chunks]


def test_rows_of_another_dimension_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrow"
    rows.save(rows.from_records(_records([2]), DIMS), path)
    with pytest.raises(Damaged, match=r"rows\.arrow: columns .* expected vectors of 9 dimensions"):
        rows.load(path, 9)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_file_cut_short_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "rows.arrow"
    rows.save(rows.from_records(_records([2, 1]), DIMS), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Damaged, match=r"rows\.arrow"):
        rows.load(path, DIMS)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"rows\.arrow"):
        rows.load(tmp_path / "rows.arrow", DIMS)


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrow"
    table = pa.table({"source_id": ["a"]})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(Damaged, match=r"columns \['source_id'\]"):
        rows.load(path, DIMS)


def digest_of(one: Record) -> int:
    return rows.document_digest(one.source_id, one.content_hash, one.collection)


def test_a_digest_does_not_depend_on_order() -> None:
    terms = [digest_of(r) for r in _records([1, 2, 3])]
    assert len({rows.digest_text(sum(order)) for order in permutations(terms)}) == 1


def test_a_digest_tells_apart_ids_contents_and_collections() -> None:
    one = unit(np.ones((1, DIMS)))
    records = [record("a", one), record("b", one), record("a", one, position=2), record("a\0", one)]
    records.append(msgspec.structs.replace(records[0], collection=7))
    assert len({digest_of(r) for r in records}) == len(records)


def test_a_digest_is_the_same_for_any_number_of_chunks() -> None:
    one = unit(np.ones((1, DIMS)))
    assert len({digest_of(record("a", np.repeat(one, count, axis=0))) for count in (1, 3)}) == 1


def test_a_removed_document_leaves_no_trace_in_a_digest() -> None:
    first, second = (digest_of(r) for r in _records([2, 3]))
    assert rows.digest_text(first + second - first) == rows.digest_text(second)
    assert rows.digest_text(first - first) == "0" * 32
