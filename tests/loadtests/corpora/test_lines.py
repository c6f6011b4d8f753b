from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpora.corpus import CorpusError, Document
from loadtests.corpora.lines import LinesCorpus
from loadtests.questions import GoldenSetError
from service.router.requests import MAX_TEXT_BYTES


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


def test_a_vector_is_a_list_or_base64_and_may_stand_for_a_text(tmp_path: Path) -> None:
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
def test_whatever_json_can_say_is_read_as_it_was_written(
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
        ([line(), "7"], "line 2 is not a JSON object with source_id, title and text"),
        ([line("a"), "", line("a")], "line 3: the source_id 'a' is used twice"),
        (['{"title": "t"}'], "line 1 has no source_id; every document needs its own"),
        ([line(title="", text="")], "line 1 has neither title nor text"),
        ([line(), line(source_id="blank", title=" ", text=" \n\t\u2003")], "line 2 has neither title nor text"),
        ([line(body="x", url="y")], "line 1 has body, url; allowed are source_id, title, text, metadata and vector"),
        ([line(text=7)], "line 1: text is 7; it must be a text"),
        ([line("a" * 513)], "line 1: source_id has 513 characters; up to 512 are allowed"),
        ([line(title="a" * 1025)], "line 1: title has 1025 characters; up to 1024 are allowed"),
        ([line(text="é" * (MAX_TEXT_BYTES // 2 + 1))], "line 1: text has 1048578 bytes; up to 1048576 are allowed"),
        ([line(metadata=[1])], "line 1: metadata must be named texts, numbers, true or false"),
        ([line(metadata={"a": None})], "line 1: metadata must be named texts"),
        ([line(metadata={"a": 2**53 + 1})], "line 1: metadata 'a' is 9007199254740993, allowed are numbers up to 2^53"),
        ([line(metadata={"a": float("nan")})], "line 1 is not JSON: NaN is no number that JSON knows"),
        ([line(text="\ud800")], "line 1: text holds half a character"),
        ([line("load/1/7")], "begins as those of documents that tests write do (load/, vectorfleet/canary/)"),
        ([line(vector=7)], "line 1: vector must be a list of numbers, or base64 of little-endian float32"),
        ([line(vector=[1, True])], "line 1: vector must be a list of numbers"),
        ([line(vector="AAA=")], "line 1: vector has 2 bytes, which are no float32s"),
        ([line(vector="!")], "line 1: vector is no base64"),
        (["", ""], "holds no document; each line is a JSON object"),
    ],
)
def test_a_faulty_line_is_refused_by_its_number_with_what_is_allowed(
    tmp_path: Path, lines: list[str], sentence: str
) -> None:
    with pytest.raises(CorpusError) as refusal:
        corpus_of(tmp_path, *lines)
    assert sentence in str(refusal.value)
    assert str(tmp_path / "guide.jsonl") in str(refusal.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nothing\.jsonl cannot be read as a corpus"):
        LinesCorpus(tmp_path / "nothing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(line(text="x").encode() + b"\xe9")
    with pytest.raises(CorpusError, match=r"latin\.jsonl cannot be read as a corpus"):
        LinesCorpus(tmp_path / "latin.jsonl")


@pytest.mark.parametrize(
    ("names", "prefix"),
    [(["a/1", "a/2"], "a/"), (["a", "ab"], "a"), (["x", "y"], ""), (["alone"], "alone")],
)
def test_the_prefix_is_how_all_ids_begin(tmp_path: Path, names: list[str], prefix: str) -> None:
    assert corpus_of(tmp_path, *map(line, names)).prefix == prefix


def test_every_tenth_document_that_no_question_accepts_is_held_back(tmp_path: Path) -> None:
    lines = [line(f"d{number:02}") for number in range(31)]
    corpus = corpus_of(tmp_path, *lines, asked=f"[{question('d09', 'd10')}]", hold_back=True)
    assert [document.source_id for document in corpus.fresh()] == ["d11", "d21"]
    assert len(list(corpus.documents())) == 29
    assert len(list(corpus_of(tmp_path, *lines).documents())) == 31


def test_a_part_is_asked_what_it_can_answer(tmp_path: Path) -> None:
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


def test_questions_are_needed_and_held_against_the_documents(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"guide\.jsonl has no golden questions; .* --questions FILE\.yaml"):
        corpus_of(tmp_path, line()).questions()
    with pytest.raises(GoldenSetError, match="question one lists guide/7, which is no document of the corpus"):
        corpus_of(tmp_path, line(), asked=f"[{question('guide/7')}]")
