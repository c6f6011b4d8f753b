"""JSON lines on disk: whole records come back, a torn last one is dropped, damage is named."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.jsonlines import DamagedFileError, RecordWriter, read_records

VALUES = st.dictionaries(st.text(max_size=8), st.one_of(st.text(), st.integers(), st.none()), max_size=3)


@settings(deadline=None)
@given(records=st.lists(VALUES, max_size=6), cut=st.integers(min_value=1, max_value=40))
def test_a_crash_loses_at_most_the_record_being_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    with closing(RecordWriter(path)) as lines:
        for record in records:
            lines.write("one", values=record)
    whole_bytes = path.stat().st_size
    with closing(RecordWriter(path)) as lines:
        lines.write("last", text="x" * 40)
    with path.open("ab") as file:
        file.truncate(whole_bytes + cut)
    assert [record["values"] for record in read_records(path)] == records
    with closing(RecordWriter(path)) as lines:
        lines.write("after")
    assert [record["record"] for record in read_records(path)] == ["one"] * len(records) + ["after"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":1}\nnonsense\n{"b":2}\n')
    with pytest.raises(DamagedFileError, match=r"a\.jsonl:2"):
        read_records(path)


def test_a_line_that_is_no_object_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("[1]\n")
    with pytest.raises(DamagedFileError, match="a JSON object"):
        read_records(path)
