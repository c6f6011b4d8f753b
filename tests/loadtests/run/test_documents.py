from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.run.documents import load_documents
from loadtests.run.settings import SettingsError


def test_source_ids_name_seed_and_number(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_text('{"title": "t", "text": "a"}\n\n{"text": "b"}\n')
    batch = load_documents(str(path), 7).batch(1, 2)
    assert batch == [
        {"source_id": "load/7/1", "title": "", "text": "b"},
        {"source_id": "load/7/2", "title": "t", "text": "a"},
    ]


def test_short_texts_without_a_file() -> None:
    batch = load_documents("", 1).batch(0, 50)
    assert len({document["source_id"] for document in batch}) == 50
    assert all(document["text"] for document in batch)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no document"),
        ("{", "line 1"),
        ('{"text": "a"}\n[1]', "line 2"),
        ("{}", "line 1"),
        (
            '{"text": "a"}\n{"text": "b", "source_id": "b", "metadata": {}}',
            "line 2: Object contains unknown field `source_id`. A line may have title, text, vector",
        ),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_text(content)
    with pytest.raises(SettingsError, match=words):
        load_documents(str(path), 1)
