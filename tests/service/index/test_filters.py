"""Filters on metadata match what a loop in plain Python matches, in every part of a shard."""

from __future__ import annotations

import operator
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.index import rows as rows_file
from service.index import search_plan, structures
from service.index.base import Base
from service.index.collection import CollectionIndex
from service.index.filters import BadFilter, Columns, parse
from service.index.metric import COSINE
from service.index.part import Passage
from service.storage import entry as entry_module
from service.storage.content import content_hash
from service.storage.documents import SCHEMA, Document, from_entry, to_rows
from service.storage.entry import Damaged, Header, decode, encode
from service.storage.metadata import MOST_BYTES, from_text, problem_with, to_text
from service.storage.shards import Record
from tests.service.small_space import DIMS, recipe, unit

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
FIELDS = st.sampled_from(["a", "b", "ü"])
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 2.0])
TEXTS = st.sampled_from(["", "x", "y", "Z", "true", "1"])
VALUES = NUMBERS | TEXTS | st.booleans()
METADATA = st.dictionaries(FIELDS, VALUES, max_size=3)
CONDITIONS = (
    VALUES
    | st.fixed_dictionaries({"eq": VALUES})
    | st.fixed_dictionaries({"in": st.lists(VALUES, min_size=1, max_size=3)})
    | st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS, min_size=1, max_size=2)
    | st.dictionaries(st.sampled_from(["gt", "lte"]), TEXTS, min_size=1, max_size=2)
)
FILTERS = st.dictionaries(FIELDS, CONDITIONS, max_size=2)


def kind(value: object) -> str:
    return "truth" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def holds(value: Any, name: str, operand: Any) -> bool:
    if name == "in":
        return any(holds(value, "eq", one) for one in operand)
    return kind(value) == kind(operand) and COMPARE[name](value, operand)


def lets_through(given: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Return whether a filter matches, by its definition."""
    for field, condition in given.items():
        conditions = condition if isinstance(condition, dict) else {"eq": condition}
        if field not in metadata or not all(holds(metadata[field], *one) for one in conditions.items()):
            return False
    return True


@given(st.lists(METADATA, max_size=12), FILTERS)
def test_columns_match_what_a_loop_matches(rows: list[dict[str, Any]], wanted: dict[str, Any]) -> None:
    columns = Columns(map(to_text, rows), len(rows))
    assert columns.matching(parse(wanted)).tolist() == [lets_through(wanted, row) for row in rows]


@given(METADATA)
def test_metadata_is_kept_as_canonical_json(metadata: dict[str, Any]) -> None:
    text = to_text(metadata)
    assert from_text(text) == metadata
    assert to_text(dict(reversed(metadata.items()))) == text
    assert [type(one) for one in from_text(text).values()] == [type(metadata[name]) for name in from_text(text)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": {}}, "the filter on 'a' has no operator; allowed: eq, in, gt, gte, lt, lte"),
        ({"a": {"ne": 1}}, "has 'ne'; allowed: eq, in"),
        ({"a": {"in": []}}, "a list of 1 to 1000 values"),
        ({"a": {"in": "xy"}}, "a list of 1 to 1000 values"),
        ({"a": {"in": [[1]]}}, "allowed: texts, numbers up to 2^53, true, false"),
        ({"a": None}, "allowed: texts, numbers up to 2^53, true, false"),
        ({"a": [1]}, "allowed: texts, numbers up to 2^53, true, false"),
        ({"a": {"gt": True}}, "boolean, which has no order; use eq"),
        ({"a": {"lt": float("inf")}}, "numbers up to 2^53"),
        ({"a": 2**53 + 1}, "numbers up to 2^53"),
        ({"a": float("nan")}, "numbers up to 2^53"),
        ({str(n): {"gt": 1, "lt": 2} for n in range(33)}, "has 66 conditions; at most 64 are allowed"),
        ({"a": "x" * 1025}, "a text of 1025 characters"),
        ({"": 1}, "a field of 0 characters"),
        ({str(number): 1 for number in range(65)}, "names 65 fields"),
    ],
)
def test_an_invalid_filter_says_what_is_allowed(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadFilter) as refused:
        parse(given)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({str(number): 1 for number in range(65)}, "65 fields of metadata; at most 64 are allowed"),
        ({"": 1}, "the name of a field has 0 characters"),
        ({"a": 2**53 + 1}, "numbers from -2^53 to 2^53"),
        ({"a": "x" * MOST_BYTES}, "bytes of metadata; at most 4096 are allowed"),
        ({"a": -(2**53), "b": "x", "c": True}, ""),
    ],
)
def test_too_much_metadata_is_refused(metadata: dict[str, Any], words: str) -> None:
    assert words in problem_with(metadata)
    assert bool(words) == bool(problem_with(metadata))


def record(number: int, metadata: dict[str, Any], random: np.random.Generator, chunks: int = 2) -> Record:
    text = to_text(metadata)
    return Record(
        position=number + 1,
        item=0,
        source_id=f"s{number}",
        title=f"t{number}",
        content_hash=content_hash(f"t{number}", "", text),
        chunks=[f"{number}.{chunk}" for chunk in range(chunks)],
        vectors=unit(random.normal(size=(chunks, DIMS))),
        metadata=text,
    )


@pytest.mark.parametrize("few", [0, 10_000], ids=["by the graph", "exactly"])
@pytest.mark.parametrize("type_", ["hnsw", "flat"])
def test_a_shard_answers_with_the_nearest_of_those_that_match(
    monkeypatch: pytest.MonkeyPatch, few: int, type_: str
) -> None:
    """Base, sealed segment, frozen and fresh delta, with replaced and deleted documents in each."""
    monkeypatch.setattr(search_plan, "FEW_ROWS", few)
    monkeypatch.setattr(search_plan, "WALKED", 0)
    random = np.random.default_rng(5)
    parameters = recipe(ef_search=200).index
    parameters = msgspec.structs.replace(parameters, type=type_)
    records = {
        number: record(number, {"tenth": number % 10, "kind": "abc"[number % 3], "odd": bool(number % 2)}, random)
        for number in range(400)
    }
    rows = rows_file.from_records([records[number] for number in range(250)], DIMS)
    index = CollectionIndex(
        Base(rows, structures.build(rows.vectors, parameters, 1), parameters), DIMS, COSINE, delta_rows=100
    )
    for number in range(250, 400):
        index.apply(records[number])
    frozen = index.frozen[0]
    held = frozen.records()
    segment = rows_file.from_records(held, DIMS)
    index.seal(frozen, held, Base(segment, structures.build(segment.vectors, parameters, 1), parameters))
    changed = {n: record(n, {"tenth": 99}, random, chunks=1 if n % 2 else 0) for n in range(0, 400, 7)}
    for one in changed.values():
        index.apply(one)
    records |= changed
    for asked in ({"tenth": 3}, {"kind": {"in": ["a", "c"]}, "tenth": {"gte": 5}}, {"odd": True}, {"tenth": 98}, {}):
        wanted = parse(asked)
        for query in unit(random.normal(size=(10, DIMS))):
            scores = {
                one.source_id: float((one.vectors @ query).max())
                for one in records.values()
                if len(one.chunks) and lets_through(asked, from_text(one.metadata))
            }
            best = sorted(scores, key=lambda name: -scores[name])[:10]
            hits = index.search(query, 10, wanted=wanted)
            found = [hit.source_id for hit in hits]
            assert all(lets_through(asked, hit.metadata) for hit in hits)
            assert len(found) == len(set(found)) == len(best)
            assert len(set(found) & set(best)) >= 0.9 * len(best)
            assert [hit.source_id for hit in index.search(query, 10, exact=True, wanted=wanted)] == best


def test_a_document_of_many_chunks_costs_one_look_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(6)
    records = [record(number, {"n": number}, random, chunks=1_000) for number in range(3)]
    rows = rows_file.from_records(records, DIMS)
    index = CollectionIndex(Base(rows, structures.build(rows.vectors, recipe().index, 1), recipe().index), DIMS, COSINE)
    read: list[int] = []
    plain = Base.passage

    def counted(self: Base, row: int) -> Passage:
        read.append(row)
        return plain(self, row)

    monkeypatch.setattr(Base, "passage", counted)
    hits = index.search(unit(random.normal(size=(1, DIMS)))[0], 10, wanted=parse({"n": {"lt": 9}}))
    assert len(hits) == len(read) == 3


def test_a_content_hash_depends_on_metadata() -> None:
    assert content_hash("t", "x") == content_hash("t", "x", "")
    assert len({content_hash("t", "x"), content_hash("t", "x", '{"a":1}'), content_hash("t", 'x\0{"a":1}')}) == 3


@pytest.mark.parametrize(
    ("format_", "lacking"),
    [
        (1, ["metadata", "vector", "if_position", "collection", "registry", "void"]),
        (2, ["vector", "if_position", "collection", "registry", "void"]),
        (3, ["collection", "registry", "void"]),
        (4, ["void"]),
    ],
)
def test_an_older_entry_may_lack_later_columns_only(format_: int, lacking: list[str]) -> None:
    documents = [Document("r1", "s1", False, "t", "x", ""), Document("r2", "s2", True)]
    header = Header(format=format_, log="documents", number=1, append_id="a", predecessor="", stamp_ms=1)
    rows = to_rows(documents)
    old = encode(header, rows.drop_columns(lacking))
    found = decode(old, log="documents", number=1, schema=SCHEMA)
    assert [written.document for written in from_entry(found)] == documents
    for names in (["title"], ["title", *lacking], ["metadata"], ["request_id", *lacking], []):
        spoilt = rows.drop_columns(names) if names else rows.rename_columns([*SCHEMA.names[:-1], "more"])
        with pytest.raises(Damaged, match="columns"):
            decode(encode(header, spoilt), log="documents", number=1, schema=SCHEMA)
    newer = encode(msgspec.structs.replace(header, format=6), rows)
    with pytest.raises(Damaged, match=r"format 6; this version reads \(1, 2, 3, 4, 5\)"):
        decode(newer, log="documents", number=1, schema=SCHEMA)
    assert entry_module.FORMAT == 5


def test_an_older_rows_file_is_read_without_metadata(tmp_path: Any) -> None:
    rows = rows_file.from_records([record(1, {}, np.random.default_rng(1))], DIMS)
    path = tmp_path / "rows.arrow"
    with pa.OSFile(str(path), "wb") as sink:
        table = rows.table.drop_columns(["metadata"])
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    loaded = rows_file.load(path, DIMS)
    assert loaded.table.equals(rows.table)


def test_memory_of_rare_fields_grows_with_their_values() -> None:
    """A document may have any fields, and each document others."""
    texts = [to_text({f"{row}.{name}": name for name in range(64)}) for row in range(500)]
    tracemalloc.start()
    columns = Columns(texts, len(texts))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 64 * 500 * 2_000
    assert columns.matching(parse({"7.3": 3})).nonzero()[0].tolist() == [7]


def test_texts_compare_by_code_point() -> None:
    columns = Columns([to_text({"a": one}) for one in ("a", "a\0", "b", "ä")], 4)
    assert columns.matching(parse({"a": {"gt": "a"}})).tolist() == [False, True, True, True]
    assert columns.matching(parse({"a": {"gte": "b", "lt": "ä"}})).tolist() == [False, False, True, False]
