"""Texts of searches to vectors: at once where the model is here, by a few requests side by side where it is not."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from service.embedding.model import Embedder, Unavailable, UnknownModel
from service.problems import Problem

SIDE_BY_SIDE = 16
MOST_WAITING = 128


class Questions:
    """Embeds one text after the other; of a model elsewhere MOST_WAITING at most may wait, and the rest is refused."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="question") if embedder.remote else None
        self._waiting = 0

    async def vector(self, text: str) -> np.ndarray:
        """The text's unit vector; raises Problem 422 for a text that the model can make nothing of, 429 or 503."""
        try:
            vector = self._here(text) if self._pool is None else await self._elsewhere(text, self._pool)
        except UnknownModel as error:
            raise Problem(422, str(error)) from error
        if not vector.any():
            raise Problem(422, "the text has no token that the model knows; ask in other words")
        return vector

    def _here(self, text: str) -> np.ndarray:
        vector: np.ndarray = self._embedder.embed([text], query=True)[0]
        return vector

    async def _elsewhere(self, text: str, pool: ThreadPoolExecutor) -> np.ndarray:
        if self._waiting >= MOST_WAITING:
            raise Problem(
                429,
                f"{self._waiting} searches wait for the embedding model, as many as may; ask again later, or by vector",
                limit=MOST_WAITING,
                retry_after_seconds=1,
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._here, text)
        except Unavailable as error:
            raise Problem(503, f"the embedding model: {error}", retry_after_seconds=2) from error
        finally:
            self._waiting -= 1
