"""Embedding models behind one small interface."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from service.storage.builds import Embedding

Vectors = npt.NDArray[np.float32]


class UnknownModel(Exception):
    """The configuration names a model that this service can't load."""


class Embedder(Protocol):
    """A model: `fingerprint` names its weights exactly."""

    fingerprint: str

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of shape (texts, dims); a text without any known token gets a zero vector."""
        ...


class WordLlamaEmbedder:
    """wordllama's static token embeddings, loaded from the package's own folder: no network, 0.05 ms per query."""

    def __init__(self, embedding: Embedding) -> None:
        # Imported here: it takes 0.2 s, and a node never embeds.
        import wordllama

        folder = Path(wordllama.__file__).parent
        installed = version("wordllama")
        if embedding.version != installed:
            raise UnknownModel(
                f"embedding version {embedding.version} of wordllama is configured, {installed} is installed: "
                "vectors of two versions must not meet; install the one or re-index for the other"
            )
        self._model = wordllama.WordLlama.load(
            config="l2_supercat", dim=embedding.dims, cache_dir=folder, disable_download=True
        )
        weights = np.ascontiguousarray(self._model.embedding)
        self.fingerprint = f"wordllama-{installed}-{hashlib.sha256(weights.tobytes()).hexdigest()[:16]}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self._model.embedding.shape[1]), np.float32)
        vectors = np.asarray(self._model.embed(list(texts)), np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        normalised: Vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
        return normalised


def load(embedding: Embedding) -> Embedder:
    """The embedder that a configuration names."""
    if embedding.model == "wordllama":
        return WordLlamaEmbedder(embedding)
    raise UnknownModel(f"embedding model {embedding.model!r} is not known; allowed: wordllama")
