"""Embedding models behind one small interface, wherever they run."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class UnknownModel(Exception):
    """The configuration names a model that this service can't load, or not in this shape; waiting does not help."""


class Unavailable(Exception):
    """A model elsewhere does not answer, throttles or refuses us: nothing about the text, and worth trying again."""


class Failed(Exception):
    """A request failed in a way that may be its text's fault: whether others are embedded meanwhile tells."""


class Access(msgspec.Struct, frozen=True):
    """How to reach a model elsewhere, or where its files are; none of it is part of what the model is."""

    url: str = ""
    secret: str = ""
    folder: str = ""


class Patience(msgspec.Struct, frozen=True):
    """How long one request to a model elsewhere may take, how often it is sent, and whether it waits when told to."""

    timeout_seconds: float
    attempts: int
    waits: bool


QUICK = Patience(timeout_seconds=2.0, attempts=2, waits=False)  # somebody waits for the answer
PATIENT = Patience(timeout_seconds=30.0, attempts=5, waits=True)


class Embedder(Protocol):
    """
    A model. `fingerprint` names it as exactly as can be known: its weights where they are here, else its names.

    `side_by_side` says how many questions it may be asked at once, each in a thread of its own, since one takes longer
    than an event loop may be held; 0 for a model that answers at once.
    """

    fingerprint: str
    side_by_side: int

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        """
        Return unit vectors of shape (texts, dims); a text that the model can make nothing of gets a zero vector.

        Where the model fails on a text and embeds others, `reasons` says why, by the text's index: other than a text
        without known tokens, it would have something to be found by. Some models embed a `query` otherwise than a
        document. Raises Unavailable.
        """
        ...


def gathered(
    outcomes: Sequence[Vectors | Failed], dims: int, reasons: MutableMapping[int, str] | None = None
) -> Vectors:
    """Put vectors of shape (dims,) below each other: zeros for what failed, and why into `reasons`."""
    vectors = np.zeros((len(outcomes), dims), np.float32)
    for i, outcome in enumerate(outcomes):
        if not isinstance(outcome, Failed):
            vectors[i] = outcome
        elif reasons is not None:
            reasons[i] = str(outcome)
    return vectors


def flaw(vectors: Vectors) -> str:
    """Say why vectors of a model can't be used; empty where they can."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(lengths).all():
        return "its vector holds numbers that are not finite, or too large"
    return "" if lengths.all() else "its vector is all zeros, or nearly, and has no direction"


def unit(vectors: Vectors) -> Vectors:
    """The vectors, shape (n, dims), scaled to length one; zero vectors stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled
