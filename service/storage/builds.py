"""Builds and slots. A build is one immutable way of turning documents into shards; a slot points at a build."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

import msgspec

from infra.facts.index_parameters import BOUNDS, BUILT_BY, DEFAULTS, SEARCHED_BY
from service.storage.entry import Damaged
from service.storage.objects import NoSuchKey, ObjectStore, PreconditionFailed, Unanswered

POINTER_ATTEMPTS = 5


class Embedding(msgspec.Struct, frozen=True):
    """The embedding space: vectors of different models or versions never meet. The model runs at the `provider`."""

    model: str
    version: str
    dims: int
    provider: str = "wordllama"

    @property
    def given(self) -> bool:
        """True if vectors come with documents and searches, and no model runs."""
        return self.provider == "given"

    @property
    def name(self) -> str:
        """The name that requests use."""
        return f"{self.model}/{self.version}"


class Chunking(msgspec.Struct, frozen=True):
    size: int
    overlap: int


class IndexParameters(msgspec.Struct, frozen=True):
    """The parameters of an index. Each type reads its own alone.

    HNSW: links per node, and list sizes while building and searching. IVF and PQ: the number of lists and of those that
    a search probes; 0 fits them to the rows. PQ: dimensions per byte, and how many candidates per result are scored
    again by their vectors; 0 for none.
    """

    type: Literal["flat", "hnsw", "ivf", "pq"]
    metric: Literal["cosine", "ip", "l2"]
    m: int
    ef_construction: int
    ef_search: int
    lists: int = DEFAULTS["lists"]
    probes: int = DEFAULTS["probes"]
    code_dims: int = DEFAULTS["code_dims"]
    rescored: int = DEFAULTS["rescored"]

    def problem(self) -> str:
        """Say which parameter is out of its range, and what is allowed; empty if none is."""
        for name, (least, most) in BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                return f"{name} is {getattr(self, name)}; allowed: {least} to {most}"
        return ""

    def searched_as(self, configured: IndexParameters) -> IndexParameters:
        """Return the same structure, searched as `configured`; unchanged if that describes another type."""
        if configured.type != self.type:
            return self
        return msgspec.structs.replace(self, **{name: getattr(configured, name) for name in SEARCHED_BY})


class Recipe(msgspec.Struct, frozen=True):
    """The way in which a slot's documents become an index, and how that is searched.

    `fingerprint` names splitter and embedder exactly. It is empty in the configuration of a process without a model.
    """

    embedding: Embedding
    chunking: Chunking
    index: IndexParameters
    shards: int
    fingerprint: str

    def searched_as(self, configured: IndexParameters) -> Recipe:
        """Return the same build, searched as `configured`."""
        return msgspec.structs.replace(self, index=self.index.searched_as(configured))


class Build(msgspec.Struct, frozen=True):
    """An index build. Its id is in every prefix and manifest, and is never used again."""

    id: str
    recipe: Recipe

    def again(self) -> Build:
        """Return a new build by the same recipe, of the same family."""
        return Build(f"{family(self.id)}.{uuid.uuid4().hex[:6]}", self.recipe)


def family(build_id: str) -> str:
    """Return what the ids of builds by one and the same recipe have in common: their answers may be mixed."""
    return build_id.partition(".")[0]


class Judgement(NamedTuple):
    """The comparison of a configuration with the slot's build.

    `recipe` is the build's own, searched as configured: the recipe that a process works by. `refused` names every
    difference that the build can't adopt. It is empty if the two agree.
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
        f"slot {slot} keeps build {build.id}, but the configuration differs: {differing}. "
        "A build never changes: index into the other slot and switch, or revert the change.",
    )


def _differences(build: Recipe, configured: Recipe) -> Iterator[str]:
    was, now = _identity(build), _identity(configured)
    for name, value in was.items():
        unknown = name == "fingerprint" and not configured.fingerprint
        # Parameters of two types have nothing in common.
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


def shard_prefix(build: str, shard: int) -> str:
    """Return the prefix of everything that belongs to one shard of a build."""
    return f"builds/{build}/shard-{shard:02d}/"


class Slots:
    """The pointers `blue` and `green` in the index bucket, and the next build of each while one is filled."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def find(self, slot: str) -> Build | None:
        """Return the build that a slot points at, or None."""
        return self._read(_key(slot))[0]

    def find_next(self, slot: str) -> Build | None:
        """Return the build that is to take the place of the slot's own, or None."""
        return self._read(_next_key(slot))[0]

    def begin_next(self, slot: str, served: Build) -> Build:
        """Have a build filled that takes the place of `served`; return it, or the one that is under way."""
        self._create(_next_key(slot), served.again())
        found = self.find_next(slot)
        if found is None:
            raise Unanswered(f"slot {slot}: its next build is not there although it was written")
        return found

    def turn(self, slot: str, build: Build) -> None:
        """Point a slot at its next build, which holds everything. Idempotent. Raise StoreError."""
        found, etag = self._read(_key(slot))
        if found is None:
            self._create(_key(slot), build)
        elif found != build:
            self._store.replace(_key(slot), msgspec.json.encode(build), etag)
        self._store.delete(_next_key(slot))

    def _create(self, key: str, build: Build) -> None:
        """Write a pointer unless there is one."""
        with suppress(PreconditionFailed):
            self._store.create(key, msgspec.json.encode(build))

    def _read(self, key: str) -> tuple[Build | None, str]:
        try:
            stored = self._store.get(key)
        except NoSuchKey:
            return None, ""
        try:
            return msgspec.json.decode(stored.body, type=Build), stored.etag
        except msgspec.MsgspecError as error:
            raise Damaged(f"slot pointer {key.removeprefix('slots/').removesuffix('.json')}: {error}") from error

    def claim(self, slot: str, recipe: Recipe, served: Build | None = None) -> Build:
        """Return the slot's build; make it from `recipe` if the slot is new.

        A lost pointer is restored to the build that this process has `served`, if the recipe makes the same build:
        running nodes and routers know no other. An older build may have another recipe; `judge` says so.
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
            except (PreconditionFailed, Unanswered):
                continue
        raise Unanswered(f"slot {slot}: its pointer could not be read or written {POINTER_ATTEMPTS} times")


def _key(slot: str) -> str:
    return f"slots/{slot}.json"


def _next_key(slot: str) -> str:
    return f"slots/{slot}.next.json"
