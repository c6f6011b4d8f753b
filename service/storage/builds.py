"""Builds and slots. A build is one immutable way of turning documents into shards; a slot points at a build."""

from __future__ import annotations

import uuid
from typing import Literal

import msgspec

from service.storage.entry import Damaged
from service.storage.objects import Missing, ObjectStore, Refused, Unanswered

SLOTS = ("blue", "green")
POINTER_ATTEMPTS = 5
# Wider than these no type gets better, only slower or larger; the program's configuration has the same.
INDEX_RANGES = {
    "m": (8, 64),
    "ef_construction": (100, 500),
    "ef_search": (50, 500),
    "lists": (0, 1_000_000),
    "probes": (0, 1_000_000),
    "code_dims": (1, 64),
    "rescored": (0, 100),
}


class Embedding(msgspec.Struct, frozen=True):
    """The embedding space: vectors of different models or versions never meet. `provider` is where the model runs."""

    model: str
    version: str
    dims: int
    provider: str = "wordllama"

    @property
    def given(self) -> bool:
        """Whether vectors come with documents and searches, and no model is asked."""
        return self.provider == "given"

    @property
    def name(self) -> str:
        """What requests name it by."""
        return f"{self.model}/{self.version}"


class Chunking(msgspec.Struct, frozen=True):
    """Chunk size and overlap in characters."""

    size: int
    overlap: int


class IndexParameters(msgspec.Struct, frozen=True):
    """
    What stands over the rows. HNSW: links per node, list sizes while building and searching. IVF and PQ: how many
    lists, and how many of them a search probes, 0 for what fits the rows. PQ: dimensions in a byte, and how many times
    as many candidates as asked for are scored again by their vectors, 0 for none. Each type reads its own alone.
    """

    type: Literal["flat", "hnsw", "ivf", "pq"]
    metric: Literal["cosine", "ip", "l2"]
    m: int
    ef_construction: int
    ef_search: int
    lists: int = 0
    probes: int = 0
    code_dims: int = 4
    rescored: int = 8

    def problem(self) -> str:
        """Which of them is out of its range, and what is allowed; empty where none is."""
        for name, (least, most) in INDEX_RANGES.items():
            if not least <= getattr(self, name) <= most:
                return f"{name} is {getattr(self, name)}; allowed are {least} to {most}"
        return ""


class Recipe(msgspec.Struct, frozen=True):
    """All that decides what an index build contains; `fingerprint` names splitter and embedder exactly."""

    embedding: Embedding
    chunking: Chunking
    index: IndexParameters
    shards: int
    fingerprint: str


class Build(msgspec.Struct, frozen=True):
    """An index build: its id stands in every prefix and manifest and is never used again."""

    id: str
    recipe: Recipe


class OtherRecipe(Exception):
    """The slot's build was made by another recipe than this process was configured with."""


class Slots:
    """The pointers `blue` and `green` in the index bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def find(self, slot: str) -> Build | None:
        """The build that a slot points at, if it points at one."""
        try:
            stored = self._store.get(_key(slot))
        except Missing:
            return None
        try:
            return msgspec.json.decode(stored.body, type=Build)
        except msgspec.MsgspecError as error:
            raise Damaged(f"slot pointer {slot}: {error}") from error

    def claim(self, slot: str, recipe: Recipe) -> Build:
        """
        The slot's build, made now from `recipe` when the slot is new.

        Raises OtherRecipe where the slot has a build of another recipe.
        """
        body = msgspec.json.encode(Build(f"b-{uuid.uuid4().hex[:12]}", recipe))
        for _ in range(POINTER_ATTEMPTS):
            try:
                found = self.find(slot)
                if found is not None:
                    return _same_recipe(slot, found, recipe)
                self._store.create(_key(slot), body)
            except (Refused, Unanswered):
                continue
        raise Unanswered(f"slot {slot}: its pointer could not be read or written {POINTER_ATTEMPTS} times")


def _key(slot: str) -> str:
    return f"slots/{slot}.json"


def _same_recipe(slot: str, build: Build, recipe: Recipe) -> Build:
    if build.recipe == recipe:
        return build
    was, now = msgspec.to_builtins(build.recipe), msgspec.to_builtins(recipe)
    differs = ", ".join(f"{name} {was[name]} → {now[name]}" for name in was if was[name] != now[name])
    raise OtherRecipe(
        f"slot {slot} serves build {build.id}, but the configuration differs: {differs}. "
        "A build never changes: index into the other slot and switch, or take the change back."
    )
