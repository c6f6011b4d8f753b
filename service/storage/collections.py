"""Collections, and the registry of those that exist.

A change of the registry is an entry of the documents log that holds the whole registry after it. A collection's id is
the position of the entry that created it, so no other collection ever has it.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import msgspec

from service.storage.builds import Embedding, IndexParameters, Recipe
from service.storage.entry import Damaged, Entry
from service.storage.log import Log

Source = Literal["text", "vector"]

DEFAULT_ID = 0
DEFAULT_NAME = "default"
MOST_COLLECTIONS = 100
MOST_REMEMBERED = 100  # dropped ones, so that late callers get a clear answer
NAME_PATTERN = "[a-z0-9][a-z0-9_-]{0,62}"
REFERENCE_PATTERN = f"{NAME_PATTERN}(@[0-9]{{1,18}})?"
UNNAMED_MODEL = "unnamed/1"


class NoCollection(Exception):
    """No collection of this name. `dropped_at` is the position at which the last one was dropped, 0 for never."""

    def __init__(self, reference: str, dropped_at: int = 0) -> None:
        said = f"collection {reference!r} was dropped at position {dropped_at}" if dropped_at else ""
        super().__init__(said or f"there is no collection {reference!r}")
        self.dropped_at = dropped_at


class BadChange(Exception):
    """A collection that can't be made or dropped; the message says why and what to do."""


class Kind(msgspec.Struct, frozen=True):
    """The contents of a collection, for life.

    It holds texts, which each slot embeds with its own model, or vectors of `dims` components that `model`,
    "name/version", made elsewhere. Without `index` it is indexed as the slot's default collection is.
    """

    source: Source = "text"
    dims: int = 0
    model: str = ""
    index: IndexParameters | None = None

    def embedding(self, slot: Embedding) -> Embedding:
        """Return the space of its vectors in a slot."""
        if self.source == "text":
            return slot
        name, _, version = self.model.partition("/")
        return Embedding(name, version, self.dims, "given")

    def recipe(self, slot: Recipe) -> Recipe:
        """Return how a slot turns its documents into rows."""
        return msgspec.structs.replace(slot, embedding=self.embedding(slot.embedding), index=self.index or slot.index)


class Collection(msgspec.Struct, frozen=True):
    """A collection that exists."""

    id: int
    name: str
    kind: Kind


class DroppedCollection(msgspec.Struct, frozen=True):
    """A collection that was dropped at `position`."""

    id: int
    name: str
    position: int


DEFAULT = Collection(DEFAULT_ID, DEFAULT_NAME, Kind())


class RegistryUpdate(NamedTuple):
    """The registry after a change, and the collection that was made or dropped."""

    registry: Registry
    collection: Collection


class Registry(msgspec.Struct, frozen=True):
    """The collections at one position of the documents log. The default one always exists and is not listed."""

    collections: list[Collection] = []
    dropped: list[DroppedCollection] = []

    def find(self, reference: str) -> Collection:
        """Return the collection of a name, or of `name@id`, which excludes later namesakes. Raise NoCollection."""
        if reference in (DEFAULT_NAME, f"{DEFAULT_NAME}@{DEFAULT_ID}"):
            return DEFAULT
        name, _, number = reference.partition("@")
        for one in self.collections:
            if one.name == name and number in ("", str(one.id)):
                return one
        gone = [one.position for one in self.dropped if one.name == name and number in ("", str(one.id))]
        raise NoCollection(reference, max(gone, default=0))

    def get(self, id_: int) -> Collection | None:
        """Return the collection of an id, or None."""
        return next((one for one in (DEFAULT, *self.collections) if one.id == id_), None)

    def with_one(self, name: str, kind: Kind, position: int) -> RegistryUpdate:
        """Add a collection created at `position`; change nothing if the very same exists.

        Raise BadChange for another kind under this name, or one collection too many.
        """
        for one in self.collections:
            if one.name == name and one.kind == kind:
                return RegistryUpdate(self, one)
            if one.name == name:
                raise BadChange(
                    f"collection {name!r} exists with another kind: {_described(one.kind)}; drop it first, or choose "
                    "another name"
                )
        if len(self.collections) >= MOST_COLLECTIONS:
            raise BadChange(f"{len(self.collections)} collections exist, which is the most allowed; drop one first")
        made = Collection(position, name, kind)
        return RegistryUpdate(Registry([*self.collections, made], self.dropped), made)

    def without(self, reference: str, position: int) -> RegistryUpdate:
        """Drop a collection at `position`. Raise NoCollection if it does not exist, BadChange for the default one."""
        gone = self.find(reference)
        if gone.id == DEFAULT_ID:
            raise BadChange("the default collection can't be dropped; delete its documents instead")
        dropped = [*self.dropped, DroppedCollection(gone.id, gone.name, position)][-MOST_REMEMBERED:]
        return RegistryUpdate(Registry([one for one in self.collections if one.id != gone.id], dropped), gone)


def _described(kind: Kind) -> str:
    return msgspec.json.encode(kind).decode()


def salt_of(collection: int) -> bytes:
    """Return the blake2b salt of a collection's hashes. The default collection's hashes equal those without a salt."""
    return collection.to_bytes(hashlib.blake2b.SALT_SIZE, "big")


def to_text(registry: Registry) -> str:
    """Return a registry as it is stored in a log's row."""
    return msgspec.json.encode(registry).decode()


def from_text(text: str) -> Registry:
    """Parse what `to_text` wrote; raise Damaged."""
    try:
        return msgspec.json.decode(text, type=Registry)
    except msgspec.MsgspecError as error:
        raise Damaged(f"the registry of collections can't be read: {error}") from error


def registry_of(entry: Entry) -> Registry | None:
    """Return the registry that an entry of the documents log sets, or None."""
    found = [text for text in entry.rows.column("registry").to_pylist() if text]
    return from_text(found[-1]) if found else None


def registry_at(log: Log, number: int) -> Registry:
    """Return the registry that entry `number` of the documents log sets; entry 0 stands for an empty one.

    Raise StoreError, and Damaged if that entry sets none.
    """
    if number == 0:
        return Registry()
    registry = registry_of(log.read(number))
    if registry is None:
        raise Damaged(f"{log.name} entry {number}: sets no collections, but a later entry says that it does")
    return registry
