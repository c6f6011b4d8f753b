"""The truth of questions: what exact search answers before a load test begins."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from loadtests.queries import Query, QuerySet
from loadtests.recall import is_original

Vector: TypeAlias = npt.NDArray[np.float32]


def load_vectors(path: Path) -> list[Vector]:
    """The rows of a .npy file, shape (questions, dims); TruthError where it isn't one."""
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise TruthError(f"{path} cannot be read as vectors: {error}.") from error
    if found.ndim != 2 or not len(found) or not np.issubdtype(found.dtype, np.floating):
        raise TruthError(
            f"{path} has shape {found.shape} of {found.dtype}; needed are rows of floats (questions, dims)."
        )
    return list(np.asarray(found, np.float32))


class Searcher(Protocol):
    """Whatever can search exactly, such as the service's client."""

    def search(
        self, *, text: str | None = None, vector: Sequence[float] | None = None, k: int = 10, exact: bool = False
    ) -> dict[str, Any]:
        """An answer with ``hits`` and ``partial``."""


class TruthError(Exception):
    """An answer that cannot be the truth; the message is a sentence."""


def ask_truth(
    client: Searcher,
    asked: Iterable[str | Vector],
    k: int,
    prefix: str,
    extra: int = 20,
    progress: Callable[[int], None] = lambda _: None,
) -> QuerySet:
    """Ask every text or vector exactly and keep the first ``k`` source ids of the corpus that begin with ``prefix``.

    ``extra`` more documents are asked for, since documents of earlier load tests may stand among the first; those
    that do are kept as ``beside`` the truth.
    Raises TruthError when an answer is partial or has fewer than ``k`` documents of the prefix.
    """
    queries = []
    for number, one in enumerate(asked, start=1):
        queries.append(_ask(client, one, k, prefix, extra, repr(one) if isinstance(one, str) else f"Vector {number}"))
        progress(1)
    return QuerySet(tuple(queries), k, prefix)


def _ask(client: Searcher, asked: str | Vector, k: int, prefix: str, extra: int, name: str) -> Query:
    by = {"text": asked} if isinstance(asked, str) else {"vector": asked}
    answer = client.search(**by, k=k + extra, exact=True)
    if answer.get("partial"):
        raise TruthError(f"Not all shards answered {name}, so its truth is unknown; ask when all are back.")
    ids = [hit["source_id"] for hit in answer["hits"]]
    truth = tuple(source_id for source_id in ids if is_original(source_id, prefix))[:k]
    if len(truth) < k:
        raise TruthError(f"{name} has {len(truth)} exact answers that begin with {prefix!r}; {k} are needed.")
    above = ids[: ids.index(truth[-1])]
    beside = tuple(source_id for source_id in above if not is_original(source_id, prefix))
    if isinstance(asked, str):
        return Query(asked, truth, beside=beside)
    return Query(truth=truth, vector=base64.b64encode(asked.astype("<f4").tobytes()).decode(), beside=beside)
