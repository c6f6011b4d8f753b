from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpora.corpus import CorpusError, Document
from loadtests.corpora.lines import LinesCorpus
from loadtests.corpora.questions import GoldenSetError
from service.wire.limits import MAX_TEXT_BYTES


def corpus_of(folder: Path, *lines: str, asked: str = "", **options: Any) -> LinesCorpus:
    (folder / "guide.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "guide.yaml").write_text(asked)
    return LinesCorpus(folder / "guide.jsonl", folder / "guide.yaml" if asked else None, **options)


def line(source_id: str = "guide/1", **members: Any) -> str:
    return json.dumps({"source_id": source_id, "title": "Keys", "text": "Rotate them."} | members)


def question(*documents: str, name: str = "one") -> str:
    return json.dumps([{"id": name, "question": f"{name}?", "documents": documents}])[1:-1]


def test_documents_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, line("guide/2", metadata={"year": 2026}), "", line("guide/1", title=""), "")
    assert list(corpus.documents()) == [
        Document("guide/2", "Keys", "Rotate them.", {"year": 2026}),
        Document("guide/1", "", "Rotate them."),
    ]
    assert list(corpus.fresh()) == []
    assert (corpus.prefix, corpus.contents) == ("guide/", "documents of guide.jsonl")


def test_a_vector_is_a_list_or_base64_and_needs_no_text(tmp_path: Path) -> None:
    listed, coded = line("v/1", title="", text="", vector=[0.5, 1]), line("v/2", title="", vector="AAAAPwAAgD8=")
    one, two = corpus_of(tmp_path, listed, coded).documents()
    assert one == Document("v/1", "", "", {}, bytes.fromhex("0000003f0000803f"))
    assert (two.text, two.vector) == ("Rotate them.", one.vector)


texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.one_of(texts, st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9))
entries: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"source_id": texts.filter(bool).map(lambda name: f"x{name}"), "title": texts.filter(str.strip), "text": texts},
    optional={"metadata": st.dictionaries(st.text("aé€", min_size=1, max_size=9), values, max_size=3)},
)


@given(st.lists(entries, min_size=1, max_size=8, unique_by=lambda entry: entry["source_id"]), st.booleans())
def test_json_values_are_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, written: list[dict[str, Any]], ascii_only: bool
) -> None:
    lines = [json.dumps(entry, ensure_ascii=ascii_only) for entry in written]
    corpus = corpus_of(tmp_path_factory.mktemp("lines"), *lines)
    wanted = [Document(e["source_id"], e["title"], e["text"], e.get("metadata", {})) for e in written]
    assert list(corpus.documents()) == wanted
    assert all(document.source_id.startswith(corpus.prefix) for document in wanted)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["{"], "line 1 is not JSON"),
        ([line(), "7"], "line 2: Expected `object`, got `int`. A line may have source_id, title, text, meta"),
        ([line("a"), "", line("a")], "line 3: the source_id 'a' is used twice"),
        (['{"title": "t"}'], "line 1: Object missing required field `source_id`"),
        ([line("")], "line 1: Expected `str` of length >= 1 - at `$.source_id`"),
        ([line(title="", text="")], "line 1 has no title, text or vector"),
        ([line(), line(source_id="blank", title=" ", text=" \n\t\u2003")], "line 2 has no title, text or vector"),
        ([line(body="x", url="y")], "line 1: Object contains unknown field `body`. A line may have source_id, title"),
        ([line(text=7)], "line 1: Expected `str`, got `int` - at `$.text`"),
        ([line("a" * 513)], "line 1: Expected `str` of length <= 512 - at `$.source_id`"),
        ([line(title="a" * 1025)], "line 1: Expected `str` of length <= 1024 - at `$.title`"),
        ([line(text="é" * (MAX_TEXT_BYTES // 2 + 1))], "line 1: text has 1048578 bytes; up to 1048576 are allowed"),
        ([line(metadata=[1])], "line 1: Expected `object`, got `array` - at `$.metadata`"),
        ([line(metadata={"a": None})], "line 1: Expected `bool | int | float | str`, got `null` - at `$.metadata"),
        (
            [line(metadata={"a": 2**53 + 1})],
            "line 1: metadata 'a' is 9007199254740993; allowed: numbers from -2^53 to 2^53",
        ),
        ([line(metadata={"a": float("nan")})], "line 1 is not JSON: JSON is malformed"),
        ([line(text="\ud800")], "line 1 is not JSON"),
        ([line("load/1/7")], "begins with a prefix of load tests and drills (load/, vectorfleet/canary/)"),
        ([line(vector=7)], "line 1: Expected `str | array`, got `int` - at `$.vector`"),
        ([line(vector=[1, True])], "line 1: Expected `float`, got `bool` - at `$.vector[1]`"),
        ([line(vector="AAA=")], "line 1: the vector has 2 bytes; a float32 has 4"),
        ([line(vector="!")], "line 1: the vector is not valid base64"),
        (["", ""], "holds no document; each line is a JSON object"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, lines: list[str], sentence: str) -> None:
    with pytest.raises(CorpusError) as refusal:
        corpus_of(tmp_path, *lines)
    assert sentence in str(refusal.value)
    assert str(tmp_path / "guide.jsonl") in str(refusal.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nothing\.jsonl cannot be read"):
        LinesCorpus(tmp_path / "nothing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(line(text="x").encode() + b"\xe9")
    with pytest.raises(CorpusError, match=r"latin\.jsonl cannot be read"):
        LinesCorpus(tmp_path / "latin.jsonl")


@pytest.mark.parametrize(
    ("names", "prefix"),
    [(["a/1", "a/2"], "a/"), (["a", "ab"], "a"), (["x", "y"], ""), (["alone"], "alone")],
)
def test_the_prefix_is_common_to_all_ids(tmp_path: Path, names: list[str], prefix: str) -> None:
    assert corpus_of(tmp_path, *map(line, names)).prefix == prefix


def test_every_tenth_unaccepted_document_is_held_back(tmp_path: Path) -> None:
    lines = [line(f"d{number:02}") for number in range(31)]
    corpus = corpus_of(tmp_path, *lines, asked=f"[{question('d09', 'd10')}]", hold_back=True)
    assert [document.source_id for document in corpus.fresh()] == ["d11", "d21"]
    assert len(list(corpus.documents())) == 29
    assert len(list(corpus_of(tmp_path, *lines).documents())) == 31


def test_a_part_has_the_questions_it_can_answer(tmp_path: Path) -> None:
    asked = f"[{question('d0', name='first')}, {question('d2', name='third')}]"
    lines = [line(f"d{number}") for number in range(3)]
    assert [q.id for q in corpus_of(tmp_path, *lines, asked=asked).questions()] == ["first", "third"]
    part = corpus_of(tmp_path, *lines, asked=asked, most=1)
    assert [document.source_id for document in part.documents()] == ["d0"]
    assert [q.id for q in part.questions()] == ["first"]
    assert part.examples == ("first?",)
    assert part.prefix == "d"
    with pytest.raises(GoldenSetError, match=r"None of the golden questions can be answered by the documents of guide"):
        corpus_of(tmp_path, *lines, asked=f"[{question('d2')}]", most=1).questions()


def test_questions_must_name_documents_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"guide\.jsonl has no golden questions; .* --questions FILE\.yaml"):
        corpus_of(tmp_path, line()).questions()
    with pytest.raises(GoldenSetError, match="question one lists guide/7, which is not a document of the corpus"):
        corpus_of(tmp_path, line(), asked=f"[{question('guide/7')}]")
