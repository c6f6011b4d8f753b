"""The slot of a router: its build, its model, its nodes, and the spaces that vectors of its collections lie in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from service.index.metric import METRICS, Metric
from service.router.collections import Collections
from service.router.query_embedding import QueryEmbedder
from service.router.replicas import Replicas
from service.router.scatter import CollectionGone, Scatter
from service.storage.builds import Build, Embedding, IndexParameters
from service.storage.collections import DEFAULT_ID, Collection
from service.wire.problems import Problem

T = TypeVar("T")


class Space(NamedTuple):
    """The space of a collection's vectors in a slot: their model, and the metric that says which are near."""

    embedding: Embedding
    metric: Metric
    collection: int = DEFAULT_ID

    @classmethod
    def of(cls, embedding: Embedding, index: IndexParameters) -> Space:
        return cls(embedding, METRICS[index.metric])

    def within(self, collection: Collection) -> Space:
        """Return the space of a collection, given that of the default collection."""
        kind = collection.kind
        metric = METRICS[kind.index.metric] if kind.index is not None else self.metric
        return Space(kind.embedding(self.embedding), metric, collection.id)

    def check(self, model: str) -> None:
        """Raise Problem 409 if a request names another model; a request that names none passes."""
        if model and model != self.embedding.name:
            has = "this collection has vectors of" if self.collection else "this slot serves"
            raise Problem(409, f"{has} model {self.embedding.name}, the request names {model}")


class Slot:
    """
    A slot as a router serves it.

    `build`, `embedder` and `scatter` are set as soon as they are known; `fault` says why there is no embedder.
    """

    def __init__(self, name: str, configured: Space, replicas: Replicas, collections: Collections) -> None:
        self.name = name
        self._configured = configured
        self.replicas = replicas
        self.collections = collections
        self.build: Build | None = None
        self.embedder: QueryEmbedder | None = None
        self.fault = ""
        self.scatter: Scatter | None = None

    @property
    def build_id(self) -> str:
        """The build's id; empty before there is a build."""
        return self.build.id if self.build else ""

    @property
    def space(self) -> Space:
        """The space of the default collection: by the build, or by the configuration before there is a build."""
        if self.build is None:
            return self._configured
        return Space.of(self.build.recipe.embedding, self.build.recipe.index)

    def missing_shards(self) -> list[int]:
        return [shard for shard in range(self.replicas.shards) if not self.replicas.ready(shard, self.build_id)]

    def serving(self) -> tuple[Scatter, Build]:
        """Return the way to the nodes and the build; raise Problem 503 before there is a build."""
        if self.scatter is None or self.build is None:
            raise Problem(503, "the slot has no build yet; the indexer makes it", retry_after_seconds=1)
        return self.scatter, self.build

    async def on_collection(self, reference: str, ask: Callable[[Collection], Awaitable[T]]) -> T:
        """Run `ask` on the named collection; if nodes report it dropped, resolve the name again and retry once."""
        with suppress(CollectionGone):
            return await ask(await self.collections.find(reference))
        try:
            return await ask(await self.collections.find_anew(reference))
        except CollectionGone as error:
            raise Problem(410, f"collection {reference!r} was dropped; create it again, or name another") from error
