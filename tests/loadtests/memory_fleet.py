"""A fleet in memory with the client's interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.corpora.corpus import Document
from loadtests.corpora.ingest import content_hash
from service.client import Client, ServiceError


class MemoryFleet(Client):
    """
    Documents whose searches rank them by the words that they share with the question.

    `failures` are raised one after another before there is an answer; `requests` lists the request ids of writes.
    """

    def __init__(self, *, graph_misses: Sequence[str] = ()) -> None:
        super().__init__("http://127.0.0.1:1")
        self.documents: dict[str, Document] = {}
        self.requests: list[str] = []
        self.failures: list[Exception] = []
        self.head = 0
        self.ready = True
        self.partial_answers = 0
        self.applied: int | None = None
        self._graph_misses = set(graph_misses)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def write(self, documents: Sequence[Mapping[str, Any]], *, model: str = "", collection: str = "") -> dict[str, Any]:
        self.requests.extend(document["request_id"] for document in documents)
        self._fail()
        for document in documents:
            said = (document["source_id"], document["title"], document["text"], document.get("metadata", {}))
            self.documents[document["source_id"]] = Document(*said)
        self.head += 1
        return {"position": self.head, "results": []}

    def lookup(
        self, source_ids: Sequence[str], min_position: int | None = None, *, collection: str = ""
    ) -> dict[str, Any]:
        self._fail()
        found = {name: self._held(name) for name in source_ids}
        return {"position": self.head, "documents": found}

    def _held(self, name: str) -> dict[str, Any] | None:
        document = self.documents.get(name)
        return None if document is None else {"content_hash": content_hash(document)}

    def search(
        self,
        *,
        text: str | None = None,
        vector: Sequence[float] | None = None,
        k: int = 10,
        exact: bool = False,
        min_position: int | None = None,
        filter: Mapping[str, Any] | None = None,
        collection: str = "",
    ) -> dict[str, Any]:
        self._fail()
        words = set((text or "").split())
        ranked = sorted(self.documents.values(), key=lambda d: (-len(words & set(d.text.split())), d.source_id))
        names = [d.source_id for d in ranked if exact or d.source_id not in self._graph_misses]
        partial = self.partial_answers > 0
        self.partial_answers -= partial
        return {"hits": [{"source_id": name} for name in names[:k]] if not partial else [], "partial": partial}

    def status(self) -> dict[str, Any]:
        self._fail()
        position = self.head if self.applied is None else self.applied
        replica = {"ready": self.ready, "position": position}
        return {"head": self.head, "shards": [{"shard": 0, "replicas": [replica]}]}


def unavailable() -> ServiceError:
    """Return the error of a fleet that is starting."""
    return ServiceError(503, "Service Unavailable", "still starting", "not_written")
