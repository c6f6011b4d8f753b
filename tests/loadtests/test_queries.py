from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.queries import KIND, Query, QuerySet, load_queries, plain_questions, save_queries
from loadtests.settings import SettingsError

HEADER = {"kind": KIND, "prefix": "aws/", "k": 2}
ENTRY = {"text": "q", "truth": ["aws/a", "aws/b"]}


def file_of(tmp_path: Path, *entries: object) -> str:
    path = tmp_path / "queries.jsonl"
    path.write_text("".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries))
    return str(path)


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    by_vector = Query(vector="AACAPw==", truth=("aws/3", "aws/4"))
    queries = QuerySet((Query("a", ("aws/1", "aws/2")), by_vector), 2, "aws/")
    save_queries(tmp_path / "new" / "q.jsonl", queries)
    assert load_queries(str(tmp_path / "new" / "q.jsonl"), 2) == queries


def test_built_in_questions_judge_nothing() -> None:
    queries = load_queries("", 10)
    assert queries == plain_questions(10)
    assert not queries.has_truth
    assert queries.recall(0, ["aws/a"]) is None


def test_every_draw_picks_a_question() -> None:
    queries = plain_questions(10)
    last = len(queries.queries) - 1
    assert [queries.pick(draw) for draw in (0.0, 0.9999999999999999)] == [0, last]


def test_questions_without_truth_are_asked(tmp_path: Path) -> None:
    queries = load_queries(file_of(tmp_path, HEADER, {"text": "q"}), 50)
    assert queries.queries == (Query("q"),)
    assert queries.k == 50


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ((), "does not begin with a header"),
        ((ENTRY,), "does not begin with a header"),
        ((HEADER,), "holds no question"),
        ((HEADER, "{"), "line 2 is not JSON"),
        ((HEADER, "[]"), "line 2 is not a JSON object"),
        ((HEADER, {"truth": []}), "line 2 needs a text, or a vector as base64, and not both"),
        ((HEADER, ENTRY, {"text": "r", "truth": []}), "with and without truth"),
        ((HEADER, {"text": "r", "truth": ["param/x"]}), "'param/x'"),
        ((HEADER | {"k": 1}, ENTRY), "so --k 2 cannot be judged"),
    ],
)
def test_file_that_cannot_be_is_refused_with_a_sentence(
    tmp_path: Path, entries: tuple[object, ...], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        load_queries(file_of(tmp_path, *entries), 2)


def test_missing_file_is_named() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.jsonl cannot be read"):
        load_queries("nowhere.jsonl", 10)
