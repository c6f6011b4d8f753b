"""A shard's index: the rows of every live collection, folded from records in log order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from service.index.base import Base
from service.index.collection import DELTA_ROWS, CollectionIndex
from service.index.delta import Delta
from service.index.metric import METRICS
from service.index.rows import digest_text
from service.storage.builds import IndexParameters, Recipe
from service.storage.collections import DEFAULT, DEFAULT_ID, Registry, from_text
from service.storage.shards import Record


class CollectionSize(NamedTuple):
    """A number of rows of one recipe."""

    recipe: Recipe
    rows: int


def recipes_of(registry: Registry, slot: Recipe) -> dict[int, Recipe]:
    """Return how a slot indexes each collection, by its id."""
    return {one.id: one.kind.recipe(slot) for one in (DEFAULT, *registry.collections)}


class ShardIndex:
    """All collections of a shard. Apply records in log order, and search between any two of them.

    `bases` are those of the collections in `registry`, by id. `digest_terms` are their trusted shares of the digest;
    missing ones are computed.
    """

    def __init__(
        self,
        recipe: Recipe,
        registry: Registry | None = None,
        bases: Mapping[int, Base] | None = None,
        digest_terms: Mapping[int, int] | None = None,
        *,
        delta_rows: int = DELTA_ROWS,
    ) -> None:
        self._recipe, self._limit = recipe, delta_rows
        self._dropped_rows = 0
        self._indexes: dict[int, CollectionIndex] = {}
        self._recipes: dict[int, Recipe] = {}
        self._renew(registry or Registry(), bases or {}, digest_terms or {})

    def _renew(self, registry: Registry, bases: Mapping[int, Base], digest_terms: Mapping[int, int]) -> None:
        """Adopt a registry: new collections begin with their bases or empty, and the rows of dropped ones go."""
        held, recipes = self._indexes, recipes_of(registry, self._recipe)
        for gone in held.keys() - recipes.keys():
            self._dropped_rows += held[gone].kept_rows
        # While a thread boots a replica, the event loop reports its progress, so every collection must always have a
        # recipe.
        self._recipes = self._recipes | recipes
        self._indexes = {
            collection: held[collection]
            if collection in held
            else self._index(collection, recipe, bases.get(collection), digest_terms.get(collection))
            for collection, recipe in recipes.items()
        }
        self.registry = registry

    def _index(self, collection: int, recipe: Recipe, base: Base | None, digest_term: int | None) -> CollectionIndex:
        dims, metric = recipe.embedding.dims, METRICS[recipe.index.metric]
        return CollectionIndex(
            base, dims, metric, collection=collection, digest_term=digest_term, delta_rows=self._limit
        )

    def of(self, collection: int) -> CollectionIndex | None:
        """Return a collection's index, or None."""
        return self._indexes.get(collection)

    def recipe_of(self, collection: int) -> Recipe:
        return self._recipes[collection]

    @property
    def default(self) -> CollectionIndex:
        return self._indexes[DEFAULT_ID]

    @property
    def collections(self) -> list[CollectionIndex]:
        """Every collection, the default one first."""
        indexes = self._indexes
        return [indexes[collection] for collection in sorted(indexes)]

    def apply(self, record: Record) -> None:
        """Fold in the next record. A record of a collection that does not exist changes nothing."""
        if record.registry:
            self._renew(from_text(record.registry), {}, {})
        elif (index := self._indexes.get(record.collection)) is not None:
            index.apply(record)

    def _sum(self, count: Callable[[CollectionIndex], int]) -> int:
        return sum(map(count, self._indexes.values()))

    @property
    def documents(self) -> int:
        return self._sum(lambda index: index.documents)

    @property
    def rows(self) -> int:
        """Live chunks."""
        return self._sum(lambda index: index.rows)

    @property
    def delta_rows(self) -> int:
        """Chunks written since the bases, those in segments included."""
        return self._sum(lambda index: index.delta_rows)

    @property
    def base_rows(self) -> int:
        """Rows of the bases, dead ones included."""
        return self._sum(lambda index: index.base_rows)

    @property
    def changed_rows(self) -> int:
        """Rows written since the bases, dead rows and rows of dropped collections: the next bases have none."""
        return self._dropped_rows + self._sum(lambda index: index.changed_rows)

    @property
    def segments(self) -> int:
        """The number of deltas frozen since the bases, sealed or not."""
        return self._sum(lambda index: len(index.segments))

    @property
    def frozen(self) -> Iterator[tuple[CollectionIndex, Delta]]:
        """The frozen deltas of each collection, oldest first."""
        return ((index, delta) for index in self.collections for delta in index.frozen)

    @property
    def adjusted(self) -> dict[int, IndexParameters]:
        """The parameters of bases that are searched otherwise than configured, by collection id."""
        return {
            index.collection: index.base.parameters
            for index in self.collections
            if index.base is not None and index.base.parameters != self._recipes[index.collection].index
        }

    @property
    def sizes(self) -> list[CollectionSize]:
        """The rows that each collection keeps in memory, dead ones included, with the recipe of its base."""
        return [CollectionSize(self._standing(index), index.kept_rows) for index in self.collections]

    def _standing(self, index: CollectionIndex) -> Recipe:
        recipe = self._recipes[index.collection]
        return recipe if index.base is None else msgspec.structs.replace(recipe, index=index.base.parameters)

    @property
    def digest(self) -> str:
        """The order-free digest of the live documents: equal sets have equal digests, whatever path led to them."""
        return digest_text(self._sum(lambda index: index.digest_term))
