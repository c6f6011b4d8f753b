"""Builds and slots. A build is one immutable way of turning documents into shards; a slot points at a build."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Literal, NamedTuple

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
# The parameters that decide what a structure contains. All others are another type's, or say how it is searched.
BUILT_BY = {"flat": (), "hnsw": ("m", "ef_construction"), "ivf": ("lists",), "pq": ("lists", "code_dims")}
SEARCHED_BY = ("ef_search", "probes", "rescored")


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

    def searched_as(self, configured: IndexParameters) -> IndexParameters:
        """The same structure, searched as `configured` says; unchanged where that describes another type."""
        if configured.type != self.type:
            return self
        return msgspec.structs.replace(self, **{name: getattr(configured, name) for name in SEARCHED_BY})


class Recipe(msgspec.Struct, frozen=True):
    """
    The way in which a slot's documents become an index, and how that is searched.

    `fingerprint` names splitter and embedder exactly. It is empty in the configuration of a process without a model.
    """

    embedding: Embedding
    chunking: Chunking
    index: IndexParameters
    shards: int
    fingerprint: str

    def searched_as(self, configured: IndexParameters) -> Recipe:
        """The same build, searched as `configured` says."""
        return msgspec.structs.replace(self, index=self.index.searched_as(configured))


class Build(msgspec.Struct, frozen=True):
    """An index build: its id stands in every prefix and manifest and is never used again."""

    id: str
    recipe: Recipe


class Judgement(NamedTuple):
    """
    A configuration beside the slot's build.

    `recipe` is the build's own, searched as configured: the recipe that a process works by. `refused` names what the
    configuration would have otherwise and the build can't become. It is empty where the two agree.
    """

    recipe: Recipe
    refused: str


def judge(slot: str, build: Build, configured: Recipe) -> Judgement:
    """Compare a configuration with the slot's build. Every process decides by this function."""
    recipe = build.recipe.searched_as(configured.index)
    differing = ", ".join(_differences(build.recipe, configured))
    if not differing:
        return Judgement(recipe, "")
    return Judgement(
        recipe,
        f"slot {slot} goes on with build {build.id}, but the configuration differs: {differing}. "
        "A build never changes: index into the other slot and switch, or take the change back.",
    )


def _differences(build: Recipe, configured: Recipe) -> Iterator[str]:
    was, now = _identity(build), _identity(configured)
    for name, value in was.items():
        unknown = name == "fingerprint" and not configured.fingerprint
        # The parameters of two types have nothing in common.
        if name in now and now[name] != value and not unknown:
            yield f"{name} {value} → {now[name]}"


def _identity(recipe: Recipe) -> dict[str, object]:
    """Collect what decides the contents of a build, by dotted names."""
    index = recipe.index
    parts = {
        "embedding": msgspec.to_builtins(recipe.embedding),
        "chunking": msgspec.to_builtins(recipe.chunking),
        "index": {name: getattr(index, name) for name in ("type", "metric", *BUILT_BY[index.type])},
    }
    dotted = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    return {**dotted, "shards": recipe.shards, "fingerprint": recipe.fingerprint}


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

    def claim(self, slot: str, recipe: Recipe, served: Build | None = None) -> Build:
        """
        Find the slot's build, or make it from `recipe` when the slot is new.

        A pointer that was lost points again at the build that this process has `served`, where the recipe makes the
        same: nodes and routers that run know no other. An older build may have another recipe: `judge` says so.
        """
        is_same = served is not None and not judge(slot, served, recipe).refused
        made = served if is_same else Build(f"b-{uuid.uuid4().hex[:12]}", recipe)
        body = msgspec.json.encode(made)
        for _ in range(POINTER_ATTEMPTS):
            try:
                found = self.find(slot)
                if found is not None:
                    return found
                self._store.create(_key(slot), body)
            except (Refused, Unanswered):
                continue
        raise Unanswered(f"slot {slot}: its pointer could not be read or written {POINTER_ATTEMPTS} times")


def _key(slot: str) -> str:
    return f"slots/{slot}.json"
