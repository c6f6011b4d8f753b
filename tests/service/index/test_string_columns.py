"""Strings from Arrow's buffers equal those that Arrow itself gives."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from service.index.string_columns import Texts

CHUNKS = st.lists(st.lists(st.text(max_size=5), max_size=6), max_size=5)


@given(chunks=CHUNKS, skipped=st.integers(0, 3))
def test_every_row_is_read_from_columns_cut_anywhere(chunks: list[list[str]], skipped: int) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks], pa.string()).slice(skipped)
    texts = Texts(column)
    assert [texts[row] for row in range(len(column))] == column.to_pylist()
