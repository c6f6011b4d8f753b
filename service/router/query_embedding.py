"""The embedding of search texts by the model of the slot's build."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from service.embedding import providers
from service.embedding.model import Access, Embedder, ModelUnavailable, UnknownModel
from service.embedding.patience import QUICK
from service.storage.builds import Recipe
from service.wire.problems import Problem

MOST_WAITING = 128


class QueryEmbedder:
    """
    Embeds texts in the event loop, or in threads if the model is slow.

    At most MOST_WAITING texts wait for the threads; more are refused.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        threads = embedder.side_by_side
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="question") if threads else None
        self._waiting = 0

    async def vector(self, text: str) -> np.ndarray:
        """Return the text's unit vector; raise Problem 422 if the model can't embed it, 429 or 503."""
        try:
            vector = self._embed(text) if self._pool is None else await self._embed_in_thread(text, self._pool)
        except UnknownModel as error:
            raise Problem(422, str(error)) from error
        if not vector.any():
            raise Problem(422, "the text has no token that the model knows; use other words")
        return vector

    def _embed(self, text: str) -> np.ndarray:
        reasons: dict[int, str] = {}
        vector: np.ndarray = self._embedder.embed([text], query=True, reasons=reasons)[0]
        if reasons:
            raise Problem(422, f"the text can't be embedded, use other words: {reasons[0]}")
        return vector

    async def _embed_in_thread(self, text: str, pool: ThreadPoolExecutor) -> np.ndarray:
        if self._waiting >= MOST_WAITING:
            raise Problem(
                429,
                f"{self._waiting} searches wait for the embedding model, the limit; try again or search by vector",
                limit=MOST_WAITING,
                retry_after_seconds=1,
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._embed, text)
        except ModelUnavailable as error:
            raise Problem(503, f"the embedding model: {error}", retry_after_seconds=2) from error
        finally:
            self._waiting -= 1


def load_embedder(recipe: Recipe, access: Access) -> Embedder:
    """Load the build's model; raise UnknownModel or ModelUnavailable."""
    embedder = providers.load(recipe.embedding, access, QUICK)
    if not recipe.fingerprint.endswith(f" {embedder.fingerprint}"):
        raise UnknownModel(
            f"the build was made with {recipe.fingerprint!r}, this router has {embedder.fingerprint}: vectors of two "
            "models can't be compared; install that model, or re-index with this one"
        )
    return embedder
