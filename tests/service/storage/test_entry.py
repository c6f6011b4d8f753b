"""A log object is read back exactly as written, or refused by name."""

from __future__ import annotations

import hashlib

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storage import documents, shards
from service.storage.documents import Document
from service.storage.entry import Damaged, Header, decode, encode

TEXT = st.text(max_size=30)
COLLECTION, REGISTRY = st.integers(0, 1 << 60), st.sampled_from(("", "{}"))
DOCUMENTS = st.lists(
    st.builds(Document, TEXT, TEXT, st.booleans(), TEXT, TEXT, collection=COLLECTION, registry=REGISTRY), max_size=5
)
SMALL = encode(
    Header(log="documents", number=7, append_id="me", predecessor="before", stamp_ms=5),
    documents.to_rows([Document("r", "s", False, "a title", "a text")]),
)


def _decode(body: bytes, *, log: str = "documents", number: int = 7, schema: pa.Schema = documents.SCHEMA) -> object:
    return decode(body, log=log, number=number, schema=schema)


@given(DOCUMENTS, st.integers(1, 1 << 60), TEXT, TEXT, st.integers(0, 1 << 45))
def test_an_entry_is_read_back_as_written(
    written: list[Document], number: int, append_id: str, predecessor: str, stamp_ms: int
) -> None:
    header = Header(log="documents", number=number, append_id=append_id, predecessor=predecessor, stamp_ms=stamp_ms)
    entry = decode(encode(header, documents.to_rows(written)), log="documents", number=number, schema=documents.SCHEMA)
    assert entry.header == header
    assert [found.document for found in documents.from_entry(entry)] == written
    assert [(found.position, found.item) for found in documents.from_entry(entry)] == [
        (number, item) for item in range(len(written))
    ]


def test_the_same_arguments_give_the_same_bytes() -> None:
    header = Header(log="documents", number=7, append_id="me", predecessor="before", stamp_ms=5)
    assert encode(header, documents.to_rows([Document("r", "s", False, "a title", "a text")])) == SMALL


def test_any_arrow_reader_can_read_an_entry() -> None:
    assert pa.ipc.open_stream(SMALL).read_all().column("source_id").to_pylist() == ["s"]


def test_every_flipped_byte_of_an_entry_is_refused_by_name() -> None:
    for place in range(len(SMALL)):
        flipped = SMALL[:place] + bytes([SMALL[place] ^ 0x55]) + SMALL[place + 1 :]
        with pytest.raises(Damaged, match="documents entry 7"):
            _decode(flipped)


def test_an_entry_cut_short_anywhere_is_refused_by_name() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(Damaged, match="documents entry 7"):
            _decode(SMALL[:length])


@given(st.binary(max_size=200), st.booleans())
def test_foreign_bytes_are_refused_under_a_right_digest(body: bytes, behind_a_stream: bool) -> None:
    stream = SMALL[:64] + body if behind_a_stream else body
    sealed = stream + b"VFSHA256" + hashlib.sha256(stream).digest()
    with pytest.raises(Damaged, match="documents entry 7"):
        _decode(sealed)


def test_an_arrow_stream_without_our_header_is_refused() -> None:
    sink = pa.BufferOutputStream()
    batch = documents.to_rows([Document("r", "s")])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    stream = sink.getvalue().to_pybytes()
    with pytest.raises(Damaged, match="not an entry"):
        _decode(stream + b"VFSHA256" + hashlib.sha256(stream).digest())


def test_an_entry_of_another_log_or_number_is_refused_and_named() -> None:
    with pytest.raises(Damaged, match="documents entry 8: holds entry 7 of documents"):
        _decode(SMALL, number=8)
    with pytest.raises(Damaged, match="b-1/shard-00 entry 7: holds entry 7 of documents"):
        _decode(SMALL, log="b-1/shard-00")


def test_an_entry_with_other_columns_is_refused() -> None:
    with pytest.raises(Damaged, match="columns"):
        _decode(SMALL, schema=shards.schema(8))


def test_an_entry_of_an_unknown_format_is_refused() -> None:
    header = Header(format=99, log="documents", number=7, append_id="me", predecessor="", stamp_ms=5)
    with pytest.raises(Damaged, match="format 99; this version reads"):
        _decode(encode(header, documents.to_rows([])))


def test_a_header_may_have_members_unknown_to_this_version() -> None:
    header = Header(log="documents", number=7, append_id="me", predecessor="", stamp_ms=5)
    known = msgspec.json.decode(msgspec.json.encode(header))
    assert msgspec.convert(known | {"void": 3}, Header) == header
