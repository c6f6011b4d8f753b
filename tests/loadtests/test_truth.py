from __future__ import annotations

from typing import Any

import pytest

from loadtests.truth import TruthError, ask_truth


class Ranking:
    """Answers every text with the same ranking, as exact search would."""

    def __init__(self, *source_ids: str, partial: bool = False) -> None:
        self._hits = [{"source_id": source_id} for source_id in source_ids]
        self._partial = partial

    def search(self, *, text: str, k: int, exact: bool) -> dict[str, Any]:
        assert exact
        return {"hits": self._hits[:k], "partial": self._partial}


def test_truth_leaves_out_what_earlier_tests_wrote() -> None:
    client = Ranking("load/1/0", "aws/a", "load/1/1", "aws/b", "aws/c")
    truth = ask_truth(client, ["q"], 2, "aws/", extra=3)
    assert truth.queries[0].truth == ("aws/a", "aws/b")
    assert (truth.k, truth.prefix) == (2, "aws/")


def test_partial_answer_is_no_truth() -> None:
    with pytest.raises(TruthError, match="Not all shards answered 'q'"):
        ask_truth(Ranking("aws/a", partial=True), ["q"], 1, "aws/")


def test_too_short_answer_is_no_truth() -> None:
    with pytest.raises(TruthError, match="has 1 exact answers"):
        ask_truth(Ranking("aws/a", "load/1/1"), ["q"], 2, "aws/")
