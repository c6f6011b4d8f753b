from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.run.queries import KIND, Query, QuerySet, load_queries, save_queries
from loadtests.run.settings import SettingsError

HEADER = {"kind": KIND, "prefix": "aws/", "k": 2}
ENTRY = {"text": "q", "truth": ["aws/a", "aws/b"]}


def file_of(tmp_path: Path, *entries: object) -> str:
    path = tmp_path / "queries.jsonl"
    path.write_text("".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries))
    return str(path)


def test_saved_queries_are_read_again(tmp_path: Path) -> None:
    by_vector = Query(vector="AACAPw==", truth=("aws/3", "aws/4"))
    few = Query("b", ("aws/1",), beside=("load/1/0",), min_hits=0)
    queries = QuerySet((Query("a", ("aws/1", "aws/2")), by_vector, few), 2, "aws/")
    save_queries(tmp_path / "new" / "q.jsonl", queries)
    assert load_queries(str(tmp_path / "new" / "q.jsonl"), 2) == queries


def test_built_in_questions_judge_nothing() -> None:
    queries = load_queries("", 10)
    assert not queries.has_truth
    assert queries.ranking(0, ["aws/a"]) is None


def test_filter_exact_and_weight_are_asked_as_written(tmp_path: Path) -> None:
    """A mix of a user's own needs no header."""
    written = [
        {"text": "lamp", "filter": {"stock": {"gt": 0}}, "weight": 9},
        {"vector": "AACAPw==", "exact": True},
    ]
    queries = load_queries(file_of(tmp_path, *written), 3)
    asked = [{"text": "lamp", "filter": {"stock": {"gt": 0}}}, {"vector": "AACAPw==", "exact": True}]
    assert [query.asked for query in queries.queries] == asked
    assert [queries.pick(draw) for draw in (0.0, 0.8999, 0.9001, 0.9999999999999999)] == [0, 0, 1, 1]
    save_queries(tmp_path / "saved.jsonl", queries)
    assert load_queries(str(tmp_path / "saved.jsonl"), 3) == queries


def test_equal_weights_pick_evenly() -> None:
    queries = load_queries("", 10)
    picked = [queries.pick(draw / 1000) for draw in range(1000)]
    assert picked == [int(draw / 1000 * len(queries.queries)) for draw in range(1000)]


def test_every_draw_picks_a_question() -> None:
    queries = load_queries("", 10)
    last = len(queries.queries) - 1
    assert [queries.pick(draw) for draw in (0.0, 0.9999999999999999)] == [0, last]


def test_questions_without_truth_are_asked(tmp_path: Path) -> None:
    queries = load_queries(file_of(tmp_path, HEADER, {"text": "q"}), 50)
    assert queries.queries == (Query("q"),)
    assert queries.k == 50


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ((), "holds no question"),
        ((HEADER,), "holds no question"),
        ((ENTRY,), "has truth but no header of kind"),
        ((HEADER | {"kind": "other"}, ENTRY), "line 1: the kind is 'other'; it must be 'vectorfleet-queries'"),
        ((HEADER | {"weights": 1}, ENTRY), "line 1: Object contains unknown field `weights`"),
        ((HEADER | {"k": "ten"}, ENTRY), r"line 1: Expected `int \| null`, got `str` - at `\$.k`"),
        ((HEADER, "{"), "line 2 is not JSON"),
        ((HEADER, "[]"), "line 2: Expected `object`, got `array`"),
        ((HEADER, {"truth": []}), "line 2: a question needs either a text or a vector as base64"),
        ((HEADER, "", ENTRY, "", {"text": "\u2028"}), "line 5: a question needs either a text"),
        ((HEADER, {"text": " "}), "line 2: a question needs either a text"),
        ((HEADER, {"text": "q", "vector": "AACAPw=="}), "either a text or a vector"),
        ((HEADER, {"vector": "AACA"}), "line 2: the vector has 3 bytes; a float32 has 4"),
        (
            (HEADER, {"text": "q", "wieght": 2}),
            "line 2: Object contains unknown field `wieght`. A line may",
        ),
        ((HEADER, {"text": "q", "weight": 0}), r"line 2: Expected `float` > 0.0 - at `\$.weight`"),
        ((HEADER, {"text": "q", "weight": 1e300}), r"line 2: Expected `float` <= 1000000.0 - at `\$.weight`"),
        ((HEADER, '{"text": "q", "weight": NaN}'), "line 2 is not JSON"),
        ((HEADER, {"text": "q", "exact": "yes"}), "line 2: Expected `bool`, got `str`"),
        ((HEADER, {"text": "q", "filter": ["x"]}), r"line 2: Expected `object \| null`, got `array`"),
        ((HEADER, {"text": "q", "filter": {"year": {"above": 3}}}), "line 2: the filter on 'year' has 'above'"),
        ((HEADER, ENTRY, {"text": "r", "truth": []}), "with and without truth"),
        ((HEADER, {"text": "r", "truth": ["param/x"]}), "'param/x'"),
        ((HEADER | {"k": 1}, ENTRY), "and --k is 2; give a smaller one"),
        ((HEADER, ENTRY | {"min_hits": -1}), "line 2: Expected `int` >= 0"),
        ((HEADER, ENTRY | {"min_hits": True}), r"line 2: Expected `int \| null`, got `bool`"),
    ],
)
def test_bad_file_is_refused_with_its_line(tmp_path: Path, entries: tuple[object, ...], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_queries(file_of(tmp_path, *entries), 2)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe9"}')
    with pytest.raises(SettingsError, match=r"latin\.jsonl cannot be read: 'utf-8' codec"):
        load_queries(str(tmp_path / "latin.jsonl"), 10)
    with pytest.raises(SettingsError, match=r"nowhere\.jsonl cannot be read"):
        load_queries("nowhere.jsonl", 10)


@pytest.mark.parametrize(
    ("query", "least"),
    [
        (Query("q"), 3),
        (Query("q", ("aws/a",)), 1),
        (Query("q", tuple("abcde")), 3),
        (Query("q", min_hits=0), 0),
        (Query("q", filter={"year": 2026}), 0),
        (Query("q", ("aws/a",), filter={"year": 2026}), 1),
        (Query("q", ("aws/a", "aws/b"), min_hits=9), 3),
    ],
)
def test_an_answer_has_k_hits_unless_its_question_says_less(query: Query, least: int) -> None:
    assert QuerySet((query,), 3).least_hits(0) == least
