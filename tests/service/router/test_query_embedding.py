"""Search texts are embedded: a remote model never blocks the event loop, and the texts that wait for it are limited."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping, Sequence

import numpy as np
import pytest

from service.embedding.model import ModelUnavailable, Vectors
from service.router.query_embedding import MOST_WAITING, QueryEmbedder
from service.wire.problems import Problem


class Model:
    """Embeds when it may."""

    fingerprint = "m"

    def __init__(self, *, side_by_side: int, vector: float = 1.0) -> None:
        self.side_by_side = side_by_side
        self.may = threading.Event()
        self.away = False
        self._vector = vector
        self.threads: set[int] = set()

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        assert query
        self.threads.add(threading.get_ident())
        if self.side_by_side:
            assert self.may.wait(10)
        if self.away:
            raise ModelUnavailable("nobody is there")
        if reasons is not None and "poison" in texts:
            reasons[texts.index("poison")] = "the server says 500"
        return np.full((len(texts), 2), self._vector, np.float32)


def test_a_model_here_answers_in_the_loops_own_thread() -> None:
    model = Model(side_by_side=0)
    assert asyncio.run(QueryEmbedder(model).vector("x")).tolist() == [1.0, 1.0]
    assert model.threads == {threading.get_ident()}


def test_a_remote_model_leaves_the_loop_free_up_to_a_limit() -> None:
    model = Model(side_by_side=16)

    async def run() -> list[np.ndarray]:
        questions = QueryEmbedder(model)
        waiting = [asyncio.create_task(questions.vector(str(number))) for number in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="wait for the embedding model") as refused:
            await questions.vector("one more")
        assert (refused.value.status, refused.value.extra["limit"]) == (429, MOST_WAITING)
        model.may.set()
        answered = await asyncio.gather(*waiting)
        await questions.vector("one more")
        return answered

    assert len(asyncio.run(run())) == MOST_WAITING
    assert threading.get_ident() not in model.threads


def test_an_absent_model_is_a_503_and_an_unknown_text_a_422() -> None:
    model = Model(side_by_side=16)
    model.away = True
    model.may.set()
    with pytest.raises(Problem, match="nobody is there") as away:
        asyncio.run(QueryEmbedder(model).vector("x"))
    assert (away.value.status, away.value.extra) == (503, {"retry_after_seconds": 2})
    with pytest.raises(Problem, match="no token that the model knows"):
        asyncio.run(QueryEmbedder(Model(side_by_side=0, vector=0.0)).vector("?"))
    with pytest.raises(Problem, match="can't be embedded, use other words: the server says 500") as failed:
        asyncio.run(QueryEmbedder(Model(side_by_side=0)).vector("poison"))
    assert failed.value.status == 422
