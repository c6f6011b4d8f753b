from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.corpora.choice import NAMES, choose
from loadtests.corpora.corpus import CorpusError


@pytest.mark.parametrize("name", NAMES)
def test_a_named_corpus_has_all_its_members(name: str) -> None:
    corpus = choose(name, small=True)
    assert corpus.name == name
    (document,), (arriving,) = corpus.documents(limit=1), corpus.fresh(limit=1)
    assert document.source_id.startswith(corpus.prefix)
    assert not arriving.source_id.startswith(corpus.prefix)
    assert len(corpus.examples) == 5
    assert corpus.contents
    assert 0 < len(corpus.questions()) <= len(choose(name).questions())


def test_a_file_is_a_corpus(tmp_path: Path) -> None:
    path, asked = tmp_path / "guide.jsonl", tmp_path / "guide.yaml"
    path.write_text("".join(json.dumps({"source_id": f"g/{n}", "text": "x"}) + "\n" for n in range(20)))
    asked.write_text("- {id: a, question: b, documents: [g/0]}")
    assert len(list(choose(str(path)).documents())) == 20
    held_back = choose(str(path), asked, hold_back=True)
    assert (len(list(held_back.documents())), len(list(held_back.fresh()))) == (19, 1)
    assert [question.id for question in held_back.questions()] == ["a"]


@pytest.mark.parametrize("name", ["AWS", "", "guide.json", "jsonl"])
def test_an_unknown_corpus_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(CorpusError, match=f"--corpus {name} is unknown. Choose aws, python, or a file that ends in"):
        choose(name)
