from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.golden.truth import TruthError, ask_truth, load_vectors


class Ranking:
    """Answers every text with the same ranking, as exact search would."""

    def __init__(self, *source_ids: str, partial: bool = False) -> None:
        self._hits = [{"source_id": source_id} for source_id in source_ids]
        self._partial = partial
        self.asked: list[object] = []

    def search(
        self, *, text: str | None = None, vector: Sequence[float] | None = None, k: int = 10, exact: bool = False
    ) -> dict[str, Any]:
        assert exact
        self.asked.append(text if vector is None else list(vector))
        return {"hits": self._hits[:k], "partial": self._partial}


def test_truth_leaves_out_documents_of_earlier_tests() -> None:
    client = Ranking("load/1/0", "aws/a", "load/1/1", "aws/b", "load/1/2", "aws/c")
    truth = ask_truth(client.search, ["q"], 2, "aws/", extra=4)
    assert truth.queries[0].truth == ("aws/a", "aws/b")
    assert truth.queries[0].beside == ("load/1/0", "load/1/1")
    assert (truth.k, truth.prefix) == (2, "aws/")


def test_partial_answer_is_no_truth() -> None:
    with pytest.raises(TruthError, match="Not all shards answered 'q'"):
        ask_truth(Ranking("aws/a", partial=True).search, ["q"], 1, "aws/")


def test_too_short_answer_is_no_truth() -> None:
    with pytest.raises(TruthError, match="has 1 exact answers"):
        ask_truth(Ranking("aws/a", "load/1/1").search, ["q"], 2, "aws/")


def test_vectors_are_asked_and_kept_as_they_were_asked(tmp_path: Path) -> None:
    client, rows = Ranking("p/a", "p/b"), np.asarray([[0.5, 1.0], [-2.0, 0.25]])
    np.save(tmp_path / "q.npy", rows)
    truth = ask_truth(client.search, load_vectors(tmp_path / "q.npy"), 2, "")
    assert client.asked == rows.tolist()
    kept = [np.frombuffer(base64.b64decode(query.vector), "<f4").tolist() for query in truth.queries]
    assert kept == rows.tolist()
    assert [query.asked.keys() for query in truth.queries] == [{"vector"}, {"vector"}]
    with pytest.raises(TruthError, match="Vector 1 has 2 exact answers"):
        ask_truth(client.search, load_vectors(tmp_path / "q.npy"), 3, "")


@pytest.mark.parametrize("given", [np.zeros(3), np.zeros((0, 3)), np.zeros((2, 3), np.int64), "text"])
def test_a_file_that_holds_no_vectors_is_refused_with_a_sentence(tmp_path: Path, given: Any) -> None:
    path = tmp_path / "q.npy"
    path.write_text(given) if isinstance(given, str) else np.save(path, given)
    with pytest.raises(TruthError, match=r"q\.npy (cannot be read as vectors|has the shape)"):
        load_vectors(path)
