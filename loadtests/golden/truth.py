"""The truth of questions, asked by exact search before a load test."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from loadtests.corpora.corpus import is_original
from loadtests.errors import LoadTestError
from loadtests.run.queries import Query, QuerySet

Vector: TypeAlias = npt.NDArray[np.float32]
# The `search` of a client.
Search: TypeAlias = Callable[..., dict[str, Any]]


def load_vectors(path: Path) -> list[Vector]:
    """Return the rows of a .npy file of shape (questions, dims). Raises TruthError."""
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise TruthError(f"{path} cannot be read as vectors: {error}.") from error
    if found.ndim != 2 or not len(found) or not np.issubdtype(found.dtype, np.floating):
        raise TruthError(
            f"{path} has the shape {found.shape} of {found.dtype}; it must hold floats in the shape (questions, dims)."
        )
    return list(np.asarray(found, np.float32))


class TruthError(LoadTestError):
    """An answer that cannot be the truth."""


def ask_truth(
    search: Search,
    asked: Iterable[str | Vector],
    k: int,
    prefix: str,
    extra: int = 20,
    progress: Callable[[int], None] = lambda _: None,
) -> QuerySet:
    """Ask each text or vector by exact search, and keep the first ``k`` source ids that begin with ``prefix``.

    Documents of earlier load tests may stand among them, so ``extra`` more are asked for; such documents are kept as
    ``beside`` the truth. Raises TruthError if an answer is partial or has fewer than ``k`` documents of the prefix.
    """
    queries = []
    for number, one in enumerate(asked, start=1):
        queries.append(_ask(search, one, k, prefix, extra, repr(one) if isinstance(one, str) else f"Vector {number}"))
        progress(1)
    return QuerySet(tuple(queries), k, prefix)


def _ask(search: Search, asked: str | Vector, k: int, prefix: str, extra: int, name: str) -> Query:
    by = {"text": asked} if isinstance(asked, str) else {"vector": asked}
    answer = search(**by, k=k + extra, exact=True)
    if answer.get("partial"):
        raise TruthError(f"Not all shards answered {name}, so its truth is unknown. Ask again when all shards answer.")
    ids = [hit["source_id"] for hit in answer["hits"]]
    truth = tuple(source_id for source_id in ids if is_original(source_id, prefix))[:k]
    if len(truth) < k:
        raise TruthError(f"{name} has {len(truth)} exact answers with the prefix {prefix!r}; --k needs {k}.")
    above = ids[: ids.index(truth[-1])]
    beside = tuple(source_id for source_id in above if not is_original(source_id, prefix))
    if isinstance(asked, str):
        return Query(asked, truth, beside=beside)
    return Query(truth=truth, vector=base64.b64encode(asked.astype("<f4").tobytes()).decode(), beside=beside)
