"""The truth of questions: what exact search answers before a load test begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from loadtests.queries import Query, QuerySet
from loadtests.recall import is_original


class Searcher(Protocol):
    """Whatever can search exactly, such as the service's client."""

    def search(self, *, text: str, k: int, exact: bool) -> dict[str, Any]:
        """An answer with ``hits`` and ``partial``."""


class TruthError(Exception):
    """An answer that cannot be the truth; the message is a sentence."""


def ask_truth(
    client: Searcher,
    texts: Iterable[str],
    k: int,
    prefix: str,
    extra: int = 20,
    progress: Callable[[int], None] = lambda _: None,
) -> QuerySet:
    """Ask every text exactly and keep the first ``k`` source ids of the corpus that begin with ``prefix``.

    ``extra`` more documents are asked for, since documents of earlier load tests may stand among the first.
    Raises TruthError when an answer is partial or has fewer than ``k`` documents of the prefix.
    """
    return QuerySet(tuple(_ask(client, text, k, prefix, extra, progress) for text in texts), k, prefix)


def _ask(client: Searcher, text: str, k: int, prefix: str, extra: int, progress: Callable[[int], None]) -> Query:
    answer = client.search(text=text, k=k + extra, exact=True)
    if answer.get("partial"):
        raise TruthError(f"Not all shards answered {text!r}, so its truth is unknown; ask when all are back.")
    ids = tuple(hit["source_id"] for hit in answer["hits"] if is_original(hit["source_id"], prefix))
    if len(ids) < k:
        raise TruthError(f"{text!r} has {len(ids)} exact answers that begin with {prefix!r}; {k} are needed.")
    progress(1)
    return Query(text, ids[:k])
