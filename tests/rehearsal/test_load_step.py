"""The load step: a VOID gate is repeated once, and documents arrive meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.corpora.corpus import Document
from loadtests.run.documents import load_documents
from rehearsal import steps
from vectorfleet.verdicts import Verdict


class Narrator:
    """A narrator that keeps its sentences."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    @contextmanager
    def steps(self, what: str) -> Iterator[object]:
        yield lambda done, total: None


@pytest.mark.parametrize(
    ("verdicts", "counts", "measured"),
    [
        ([Verdict.PASS], Verdict.PASS, 1),
        ([Verdict.FAIL], Verdict.FAIL, 1),
        ([Verdict.UNDECIDED], Verdict.UNDECIDED, 1),
        ([Verdict.VOID, Verdict.PASS], Verdict.PASS, 2),
        ([Verdict.VOID, Verdict.FAIL], Verdict.FAIL, 2),
        ([Verdict.VOID, Verdict.VOID, Verdict.PASS], Verdict.VOID, 2),
    ],
)
def test_only_a_void_gate_is_repeated_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdicts: list[Verdict], counts: Verdict, measured: int
) -> None:
    left = list(verdicts)

    def gate_runs(plan: Any, folder: Path, report: object) -> Any:
        folder.mkdir()
        return SimpleNamespace(
            judgement=SimpleNamespace(verdict=left.pop(0), void_reasons=("the machine's speed changed",))
        )

    monkeypatch.setattr(steps, "gate_runs", gate_runs)
    narrator = Narrator()
    stage: Any = SimpleNamespace(report_folder=tmp_path, narrator=narrator)
    plan: Any = None
    result, void_before = steps._measured(stage, plan)
    assert result.judgement.verdict is counts
    assert len(verdicts) - len(left) == measured
    assert (void_before == ["the machine's speed changed"]) == (measured == 2)
    assert len(narrator.said) == measured - 1
    # The evidence of both is kept.
    assert (tmp_path / "load-void").exists() == (measured == 2)


@pytest.mark.parametrize(("fresh", "load"), [([Document("a", "Keys", "é")], "arriving.jsonl"), ([], "")])
def test_spare_documents_arrive_or_else_the_loads_own_texts(tmp_path: Path, fresh: list[Document], load: str) -> None:
    corpus = SimpleNamespace(fresh=lambda limit: iter(fresh[:limit]))
    stage: Any = SimpleNamespace(report_folder=tmp_path, corpus=corpus)
    steps._keep_arriving_documents(stage)
    assert steps._arriving_file(stage) == (str(tmp_path / load) if load else "")
    texts = load_documents(steps._arriving_file(stage), 1).texts
    assert (texts == (("Keys", "é", ""),)) == bool(fresh)
