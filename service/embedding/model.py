"""The interface of embedding models, wherever they run."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class UnknownModel(Exception):
    """The configuration names a model that can't be loaded, or not in this shape; waiting does not help."""


class ModelUnavailable(Exception):
    """A remote model does not answer, throttles or refuses the caller. No text is to blame; trying again may help."""


class EmbeddingError(Exception):
    """A request failed, perhaps because of its text, which is to blame if other texts are embedded meanwhile."""


class Access(msgspec.Struct, frozen=True):
    """The way to a remote model, or to a model's files; none of it is part of the model's identity."""

    url: str = ""
    secret: str = ""
    folder: str = ""


class Embedder(Protocol):
    """A model. `fingerprint` names it as exactly as possible: by its weights if they are local, else by its names.

    `side_by_side` is the number of queries that it may get at once, each in its own thread, so that none blocks the
    event loop. It is 0 for a model that answers at once.
    """

    fingerprint: str
    side_by_side: int

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        """Return unit vectors of shape (texts, dims); a text without known tokens gets a zero vector.

        If the model fails on a text but embeds others, `reasons` says why, by the text's index. Some models embed a
        `query` otherwise than a document. Raise ModelUnavailable.
        """
        ...


def gathered(
    outcomes: Sequence[Vectors | EmbeddingError], dims: int, reasons: MutableMapping[int, str] | None = None
) -> Vectors:
    """Stack vectors of shape (dims,): zeros for failed texts, with the errors in `reasons`."""
    vectors = np.zeros((len(outcomes), dims), np.float32)
    for i, outcome in enumerate(outcomes):
        if not isinstance(outcome, EmbeddingError):
            vectors[i] = outcome
        elif reasons is not None:
            reasons[i] = str(outcome)
    return vectors


def flaw(vectors: Vectors) -> str:
    """Say why vectors of a model can't be used; empty if they can."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(lengths).all():
        return "its vector has components that are not finite, or too large"
    return "" if lengths.all() else "its vector is all zeros, or nearly, and has no direction"


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors, shape (n, dims), scaled to unit length; zero vectors stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled
