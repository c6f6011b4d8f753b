"""A shard's index: the rows of every collection that is there, folded from records in log order."""

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


class Sized(NamedTuple):
    """So many rows of one recipe."""

    recipe: Recipe
    rows: int


def recipes_of(registry: Registry, slot: Recipe) -> dict[int, Recipe]:
    """How a slot indexes each collection, by its id."""
    return {one.id: one.kind.recipe(slot) for one in (DEFAULT, *registry.collections)}


class ShardIndex:
    """
    Apply records in log order; search collections at any time between two of them.

    `bases` are those of collections in `registry`, by their ids; whoever vouches for their parts of the digest gives
    these as `digest_terms`, else they are worked out.
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
        """Have the collections of a registry: new ones begin with their bases or empty, the rows of others are gone."""
        held, recipes = self._indexes, recipes_of(registry, self._recipe)
        for gone in held.keys() - recipes.keys():
            self._dropped_rows += held[gone].kept_rows
        # While a thread boots a replica the event loop says how far it is: what there is has its recipe at any moment.
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
        """The rows of a collection; None where there is none of that id."""
        return self._indexes.get(collection)

    def recipe_of(self, collection: int) -> Recipe:
        """How the rows of a collection that is there are indexed."""
        return self._recipes[collection]

    @property
    def default(self) -> CollectionIndex:
        """The rows of the default collection."""
        return self._indexes[DEFAULT_ID]

    @property
    def collections(self) -> list[CollectionIndex]:
        """Every collection's rows, the default one's first."""
        indexes = self._indexes
        return [indexes[collection] for collection in sorted(indexes)]

    def apply(self, record: Record) -> None:
        """Fold the next record in. What is of a collection that is not there changes nothing."""
        if record.registry:
            self._renew(from_text(record.registry), {}, {})
        elif (index := self._indexes.get(record.collection)) is not None:
            index.apply(record)

    def _sum(self, count: Callable[[CollectionIndex], int]) -> int:
        return sum(map(count, self._indexes.values()))

    @property
    def documents(self) -> int:
        """Live documents."""
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
        """Rows written since the bases, their dead ones, and those of dropped collections: what the next are rid of."""
        return self._dropped_rows + self._sum(lambda index: index.changed_rows)

    @property
    def segments(self) -> int:
        """How many deltas were frozen since the bases, sealed or not yet."""
        return self._sum(lambda index: len(index.segments))

    @property
    def frozen(self) -> Iterator[tuple[CollectionIndex, Delta]]:
        """The frozen deltas of each collection, its oldest first."""
        return ((index, delta) for index in self.collections for delta in index.frozen)

    @property
    def adjusted(self) -> dict[int, IndexParameters]:
        """How those bases are searched that are searched otherwise than configured, by their collections' ids."""
        return {
            index.collection: index.base.parameters
            for index in self.collections
            if index.base is not None and index.base.parameters != self._recipes[index.collection].index
        }

    @property
    def sized(self) -> list[Sized]:
        """The rows that each collection keeps in memory, dead ones included, and what stands over them."""
        return [Sized(self._standing(index), index.kept_rows) for index in self.collections]

    def _standing(self, index: CollectionIndex) -> Recipe:
        recipe = self._recipes[index.collection]
        return recipe if index.base is None else msgspec.structs.replace(recipe, index=index.base.parameters)

    @property
    def digest(self) -> str:
        """The order-free digest of the live set: equal sets have equal digests on every path to them."""
        return digest_text(self._sum(lambda index: index.digest_term))
