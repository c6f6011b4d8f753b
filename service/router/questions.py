"""Texts of searches to vectors: in the event loop where the model answers at once, else a few of them side by side."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from service.embedding.model import Embedder, Unavailable, UnknownModel
from service.problems import Problem

MOST_WAITING = 128


class Questions:
    """Embeds one text after the other; for a model that takes its time MOST_WAITING may wait, the rest is refused."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        threads = embedder.side_by_side
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="question") if threads else None
        self._waiting = 0

    async def vector(self, text: str) -> np.ndarray:
        """The text's unit vector; raises Problem 422 for a text that the model can make nothing of, 429 or 503."""
        try:
            vector = self._embedded(text) if self._pool is None else await self._aside(text, self._pool)
        except UnknownModel as error:
            raise Problem(422, str(error)) from error
        if not vector.any():
            raise Problem(422, "the text has no token that the model knows; ask in other words")
        return vector

    def _embedded(self, text: str) -> np.ndarray:
        reasons: dict[int, str] = {}
        vector: np.ndarray = self._embedder.embed([text], query=True, reasons=reasons)[0]
        if reasons:
            raise Problem(422, f"the text can't be embedded, ask in other words: {reasons[0]}")
        return vector

    async def _aside(self, text: str, pool: ThreadPoolExecutor) -> np.ndarray:
        if self._waiting >= MOST_WAITING:
            raise Problem(
                429,
                f"{self._waiting} searches wait for the embedding model, as many as may; ask again later, or by vector",
                limit=MOST_WAITING,
                retry_after_seconds=1,
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._embedded, text)
        except Unavailable as error:
            raise Problem(503, f"the embedding model: {error}", retry_after_seconds=2) from error
        finally:
            self._waiting -= 1
