"""The documentation inside the interpreter that runs this, and how it is read."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from loadtests.corpora.corpus import CorpusError, Document
from loadtests.corpora.python import QUESTIONS, SMALL, PythonDocumentation
from loadtests.corpora.questions import GoldenSetError, load, refuse_unknown

TOPICS = 'topics = {"with": "The \\"with\\" statement\\n**********\\n\\nIt wraps\\na block.\\n", "del": "Deletion"}'


@pytest.fixture
def library(tmp_path: Path) -> Path:
    files = {
        "json/__init__.py": '"""About JSON."""\nfrom .decoder import JSONDecoder\nfrom .tool import *',
        "json/decoder.py": """
class JSONDecoder:
    "Decodes."
    def raw_decode(self): "Decodes a part."
    def _scan(self): "Scans."
def scan(): "Scans text."
""",
        "json/tool.py": '"""A tool."""\ndef main(): "Runs."\n',
        "posixpath.py": 'def join(): "Joins."',
        "genericpath.py": 'def exists(): "Is it there?"\ndef join(): "A second one."',
        "_osx_support.py": 'def customize(): "Changes."',
        "copy.py": "def silent(): pass",
        "test/test_json.py": '"Not for readers."',
        "json/tests/more.py": '"Not for readers."',
        "site-packages/numpy.py": '"Of somebody else."',
        "strange.py": '"No module of the library."',
        "pydoc_data/topics.py": TOPICS,
    }
    for name, source in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path


def test_documents_are_named_as_people_import_them(library: Path) -> None:
    corpus = PythonDocumentation(root=library)
    assert [document.source_id for document in corpus.documents()] == [
        "python/os.path.exists",
        "python/os.path.join",
        "python/json",
        "python/json.JSONDecoder",
        "python/json.JSONDecoder.raw_decode",
        "python/json.decoder.scan",
        "python/json.tool",
        "python/json.main",
        "python/topic/del",
        "python/topic/with",
    ]
    assert [document.source_id for document in corpus.fresh()] == [
        "python-private/_osx_support.customize",
        "python-private/json.JSONDecoder._scan",
    ]


def test_titles_are_in_words_and_texts_are_sentences(library: Path) -> None:
    found = {document.source_id: document for document in PythonDocumentation(root=library).documents()}
    assert found["python/json"] == Document("python/json", "json module", "About JSON.")
    assert found["python/json.JSONDecoder.raw_decode"].title == "json: JSON decoder, raw decode"
    # Of two modules with the name the first one counts.
    assert found["python/os.path.join"].text == "A second one."
    topic = found["python/topic/with"]
    assert (topic.title, topic.text) == ('The "with" statement', "It wraps a block.")
    assert found["python/topic/del"].text == "Deletion."


def test_some_modules_are_read_with_all_topics(library: Path) -> None:
    corpus = PythonDocumentation({"os"}, root=library)
    names = [document.source_id for document in corpus.documents()]
    assert names == ["python/os.path.exists", "python/os.path.join", "python/topic/del", "python/topic/with"]
    assert len(list(corpus.documents(limit=1))) == 1
    assert list(corpus.fresh()) == []


def test_a_place_without_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no source of the standard library"):
        list(PythonDocumentation(root=tmp_path).documents())


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("json/tool.py", "def (", r"json/tool.py cannot be read as Python source: invalid syntax"),
        ("pydoc_data/topics.py", "topics = 7", r"topics.py has no table of topics"),
        ("pydoc_data/topics.py", "topics = {'a': print()}", r"topics.py has no table of topics"),
    ],
)
def test_source_that_cannot_be_read_is_named(library: Path, name: str, source: str, sentence: str) -> None:
    (library / name).write_text(source)
    with pytest.raises(CorpusError, match=sentence):
        list(PythonDocumentation(root=library).documents())


def test_missing_topics_are_named(library: Path) -> None:
    (library / "pydoc_data/topics.py").unlink()
    with pytest.raises(CorpusError, match=r"topics\.py cannot be read"):
        list(PythonDocumentation(root=library).documents())


@pytest.fixture(scope="module")
def real() -> PythonDocumentation:
    return PythonDocumentation()


@pytest.fixture(scope="module")
def reading(real: PythonDocumentation) -> tuple[list[Document], set[str]]:
    """All documents, and the modules that were imported while they were read."""
    before = set(sys.modules)
    return list(real.documents()), set(sys.modules) - before


@pytest.fixture(scope="module")
def everything(reading: tuple[list[Document], set[str]]) -> list[Document]:
    return reading[0]


@pytest.fixture(scope="module")
def arriving(real: PythonDocumentation) -> list[str]:
    return [document.source_id for document in real.fresh()]


def test_the_documentation_is_as_large_as_planned(
    real: PythonDocumentation, everything: list[Document], arriving: list[str]
) -> None:
    assert 4_500 < len(everything) < 6_500
    assert 1_000_000 < sum(len(document.text) for document in everything) < 2_500_000
    assert 1_500 < len(arriving) < 3_000
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in real.contents


def test_every_document_is_public_unique_and_not_empty(everything: list[Document]) -> None:
    ids = [document.source_id for document in everything]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"python/(topic/[\w-]+|[A-Za-z]\w*(\.[^\W_]\w*)*)", source_id) for source_id in ids)
    assert all(document.title.strip() and document.text.strip() for document in everything)
    assert not any("\n" in document.text or ">>>" in document.title for document in everything)


def test_fresh_documents_are_none_of_the_documents(everything: list[Document], arriving: list[str]) -> None:
    assert len(set(arriving)) == len(arriving)
    assert all(source_id.startswith("python-private/") and "._" in f".{source_id[15:]}" for source_id in arriving)
    assert not set(arriving) & {document.source_id for document in everything}


def test_reading_runs_nothing(reading: tuple[list[Document], set[str]]) -> None:
    assert not {"antigravity", "turtle", "tkinter", "pydoc_data.topics"} & reading[1]


def test_every_document_of_the_golden_set_exists(everything: list[Document]) -> None:
    questions = load(QUESTIONS)
    refuse_unknown(questions, {document.source_id for document in everything}, QUESTIONS)
    assert len(questions) >= 24
    asked = [question.question.casefold() for question in questions]
    assert len(set(asked)) == len(asked)


def test_a_part_has_the_questions_it_can_answer(everything: list[Document]) -> None:
    part = PythonDocumentation(SMALL)
    again = list(part.documents())
    known = {document.source_id for document in again}
    assert len(again) < len(everything)
    assert again == [document for document in everything if document.source_id in known]
    assert {source_id for source_id in known if "/topic/" in source_id}
    assert len(part.questions()) >= 24
    assert all(question.documents & known for question in part.questions())


def test_every_module_of_the_part_is_one() -> None:
    assert sys.stdlib_module_names >= SMALL


def test_custom_questions_may_name_any_module(library: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    entries = [{"id": name, "question": name, "documents": [f"python/{name}"]} for name in ("json", "os.path.join")]
    own.write_text(json.dumps(entries))
    (asked,) = PythonDocumentation({"os"}, own, root=library).questions()
    assert asked.id == "os.path.join"
    with pytest.raises(GoldenSetError, match=r"can be answered by the entries of the documentation inside Python 3"):
        PythonDocumentation({"copy"}, own, root=library).questions()
    own.write_text(json.dumps([{"id": "gone", "question": "gone", "documents": ["python/json.gone"]}]))
    with pytest.raises(GoldenSetError, match=r"question gone lists python/json\.gone, which is not a document"):
        PythonDocumentation({"os"}, own, root=library).questions()
