"""
Collections: kinds of documents that a fleet keeps apart, and the registry that says which there are.

A change of the registry is an entry of the documents log that holds the whole registry after it. The id of a
collection is the position of that entry, and never another's.
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
MOST_REMEMBERED = 100  # dropped ones, so that who still asks for them is told
NAME_PATTERN = "[a-z0-9][a-z0-9_-]{0,62}"
REFERENCE_PATTERN = f"{NAME_PATTERN}(@[0-9]{{1,18}})?"
UNNAMED_MODEL = "unnamed/1"


class NoCollection(Exception):
    """There is no collection of that name; `dropped_at` is the position where there ceased to be one, 0 for never."""

    def __init__(self, reference: str, dropped_at: int = 0) -> None:
        said = f"collection {reference!r} was dropped at position {dropped_at}" if dropped_at else ""
        super().__init__(said or f"there is no collection {reference!r}")
        self.dropped_at = dropped_at


class BadChange(Exception):
    """A collection that can't be made or dropped; the message says why and what can."""


class Kind(msgspec.Struct, frozen=True):
    """
    What a collection holds, for life: texts, which each slot embeds with its own model, or vectors of `dims` components
    that `model`, "name/version", made elsewhere. Texts without `index` are indexed as the slot's own documents are.
    """

    source: Source = "text"
    dims: int = 0
    model: str = ""
    index: IndexParameters | None = None

    def embedding(self, slot: Embedding) -> Embedding:
        """The space of its vectors in a slot."""
        if self.source == "text":
            return slot
        name, _, version = self.model.partition("/")
        return Embedding(name, version, self.dims, "given")

    def recipe(self, slot: Recipe) -> Recipe:
        """How a slot turns its documents into rows."""
        return msgspec.structs.replace(slot, embedding=self.embedding(slot.embedding), index=self.index or slot.index)


class Collection(msgspec.Struct, frozen=True):
    """One that is there."""

    id: int
    name: str
    kind: Kind


class Dropped(msgspec.Struct, frozen=True):
    """One that was there, until `position`."""

    id: int
    name: str
    position: int


DEFAULT = Collection(DEFAULT_ID, DEFAULT_NAME, Kind())


class Change(NamedTuple):
    """A registry after a change, and the collection that was made or dropped."""

    registry: Registry
    collection: Collection


class Registry(msgspec.Struct, frozen=True):
    """The collections at one position of the documents log. The default one is always there and not listed."""

    collections: list[Collection] = []
    dropped: list[Dropped] = []

    def find(self, reference: str) -> Collection:
        """The collection of a name, or of `name@id`, which is that one and no later namesake; raises NoCollection."""
        if reference in (DEFAULT_NAME, f"{DEFAULT_NAME}@{DEFAULT_ID}"):
            return DEFAULT
        name, _, number = reference.partition("@")
        for one in self.collections:
            if one.name == name and number in ("", str(one.id)):
                return one
        gone = [one.position for one in self.dropped if one.name == name and number in ("", str(one.id))]
        raise NoCollection(reference, max(gone, default=0))

    def get(self, id_: int) -> Collection | None:
        """The collection of an id, if it is there."""
        return next((one for one in (DEFAULT, *self.collections) if one.id == id_), None)

    def with_one(self, name: str, kind: Kind, position: int) -> Change:
        """
        With a new collection, whose creation stands at `position`; as it is where the very same is there.

        Raises BadChange for another of that name, or one too many.
        """
        for one in self.collections:
            if one.name == name and one.kind == kind:
                return Change(self, one)
            if one.name == name:
                raise BadChange(
                    f"there is a collection {name!r} of another kind: {_described(one.kind)}; drop it first, or choose "
                    "another name"
                )
        if len(self.collections) >= MOST_COLLECTIONS:
            raise BadChange(f"there are {len(self.collections)} collections, as many as may be; drop one first")
        made = Collection(position, name, kind)
        return Change(Registry([*self.collections, made], self.dropped), made)

    def without(self, reference: str, position: int) -> Change:
        """Without a collection, whose end stands at `position`; raises NoCollection."""
        gone = self.find(reference)
        if gone.id == DEFAULT_ID:
            raise BadChange("the default collection can't be dropped; delete its documents instead")
        dropped = [*self.dropped, Dropped(gone.id, gone.name, position)][-MOST_REMEMBERED:]
        return Change(Registry([one for one in self.collections if one.id != gone.id], dropped), gone)


def _described(kind: Kind) -> str:
    return msgspec.json.encode(kind).decode()


def salt_of(collection: int) -> bytes:
    """What tells a collection's hashes of blake2b from others'; the default one's are those without a salt."""
    return collection.to_bytes(hashlib.blake2b.SALT_SIZE, "big")


def to_text(registry: Registry) -> str:
    """A registry as a row of a log holds it."""
    return msgspec.json.encode(registry).decode()


def from_text(text: str) -> Registry:
    """The inverse of `to_text`; raises Damaged."""
    try:
        return msgspec.json.decode(text, type=Registry)
    except msgspec.MsgspecError as error:
        raise Damaged(f"what says which collections there are can't be read: {error}") from error


def registry_of(entry: Entry) -> Registry | None:
    """The registry that an entry of the documents log sets; None where it sets none."""
    found = [text for text in entry.rows.column("registry").to_pylist() if text]
    return from_text(found[-1]) if found else None


def registry_at(log: Log, number: int) -> Registry:
    """
    The registry that entry `number` of the documents log set, which its later entries name; of 0 it is empty.

    Raises StoreError, and Damaged where that entry sets none.
    """
    if number == 0:
        return Registry()
    registry = registry_of(log.read(number))
    if registry is None:
        raise Damaged(f"{log.name} entry {number}: sets no collections, but a later entry says so")
    return registry
