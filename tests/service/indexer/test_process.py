"""An indexer process extends the existing build, and stays to report what it can't do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.embedding import model, providers
from service.embedding.splitter import SPLITTER
from service.indexer import process as process_module
from service.indexer.process import IndexerProcess
from service.settings import BadSettings, FleetShape, Parameters, Process, Storage
from service.storage import conformance
from service.storage.builds import Build, Embedding, IndexParameters, Slots
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import folded, histories, write
from tests.service.small_space import WordEmbedder, recipe

INDEX = IndexParameters("hnsw", "cosine", 8, 100, 50)
MADE = msgspec.structs.replace(recipe(), index=INDEX, fingerprint=f"{SPLITTER} {WordEmbedder.fingerprint}")
CONFIGURED = Parameters(Storage("d", "i", "a"), MADE.embedding, MADE.chunking, MADE.index, FleetShape(MADE.shards, 1))


class Stage:
    """An indexer process over stores in memory; `parameters` and `loads` may change between two tries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.parameters = MemoryStore(), CONFIGURED
        self.loaded: list[Embedding] = []
        self.unknown = set[Embedding]()
        write(self.store, histories(3, batches=4))
        monkeypatch.setattr(process_module, "ObjectStore", lambda _: self.store)
        monkeypatch.setattr(process_module, "load_parameters", lambda *_: self._parameters())
        monkeypatch.setattr(conformance, "check", lambda _: None)
        monkeypatch.setattr(providers, "load", self._load)
        for pause in ("ERROR_PAUSE_SECONDS", "UNUSABLE_PAUSE_SECONDS", "NEXT_BUILD_SECONDS"):
            monkeypatch.setattr(process_module, pause, 0.001)
        self.process = IndexerProcess(Process(fleet="f", role="indexer", slot="blue", parameters="/f"))

    def _parameters(self) -> Parameters:
        if problem := self.parameters.index.problem():
            raise BadSettings(problem)
        return self.parameters

    def _load(self, embedding: Embedding, *_: object) -> WordEmbedder:
        self.loaded.append(embedding)
        if embedding in self.unknown:
            raise model.UnknownModel(f"model {embedding.name} is not installed")
        return WordEmbedder()

    def until(self, reached: Callable[[bool, dict[str, Any]], bool]) -> dict[str, Any]:
        """Run the process until its readiness is as wanted; return what it says then."""

        async def run() -> dict[str, Any]:
            working = asyncio.create_task(self.process._work())
            rebuilding = asyncio.create_task(self.process._rebuild())
            try:
                for _ in range(2_000):
                    ready, body = self.process._readiness()
                    said = msgspec.to_builtins(body)
                    if reached(ready, said):
                        return dict(said)
                    assert not working.done(), working
                    await asyncio.wait((working,), timeout=0.005)
                raise AssertionError(said)
            finally:
                working.cancel()
                rebuilding.cancel()

        return asyncio.run(run())


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A slot without a build."""
    return Stage(monkeypatch)


def _indexed(ready: bool, said: dict[str, Any]) -> bool:
    return ready and said["position"] == 4


def test_the_first_indexer_makes_the_build_of_its_configuration(stage: Stage) -> None:
    assert stage.until(_indexed)["misconfigured"] == ""
    found = Slots(stage.store).find("blue")
    assert found is not None
    assert found.recipe == MADE


def test_a_refused_configuration_leaves_the_build_its_recipe(stage: Stage) -> None:
    build = Slots(stage.store).claim("blue", MADE)
    other = Embedding("other", "2", MADE.embedding.dims)
    stage.parameters = msgspec.structs.replace(CONFIGURED, embedding=other, fleet=FleetShape(3, 1))
    # The configured model is missing, and the build does not need it.
    stage.unknown = {other}
    said = stage.until(_indexed)
    assert (said["build"], stage.loaded) == (build.id, [MADE.embedding])
    assert "embedding.model words → other, embedding.version 1 → 2, shards 2 → 3" in said["misconfigured"]
    assert [folded(stage.store, build, shard)[1] for shard in range(2)] == [4, 4]


def test_a_changed_effort_does_not_concern_an_indexer(stage: Stage) -> None:
    Slots(stage.store).claim("blue", MADE)
    index = msgspec.structs.replace(CONFIGURED.index, ef_search=300)
    stage.parameters = msgspec.structs.replace(CONFIGURED, index=index)
    assert stage.until(_indexed)["misconfigured"] == ""


@pytest.mark.parametrize(
    ("fingerprint", "reason"),
    [
        (f"{SPLITTER} words-0", f"b-1 was made with '{SPLITTER} words-0', this indexer has '{SPLITTER} words-1'"),
        ("sentences-0 words-1", "b-1 was made with 'sentences-0 words-1'"),
    ],
)
def test_an_indexer_without_the_builds_model_reports_it(stage: Stage, fingerprint: str, reason: str) -> None:
    made = msgspec.structs.replace(MADE, fingerprint=fingerprint)
    stage.store.create("slots/blue.json", msgspec.json.encode(Build("b-1", made)))
    said = stage.until(lambda ready, said: not ready and reason in said["reason"])
    assert said["misconfigured"] == ""


def test_an_indexer_goes_on_once_its_parameters_are_fixed(stage: Stage) -> None:
    stage.unknown = {MADE.embedding}
    stage.until(lambda ready, said: not ready and "words/1 is not installed" in said["reason"])
    stage.unknown = set()
    stage.parameters = msgspec.structs.replace(CONFIGURED, index=msgspec.structs.replace(MADE.index, ef_search=1))
    stage.until(lambda ready, said: not ready and "ef_search is 1; allowed: 50 to 500" in said["reason"])
    stage.parameters = CONFIGURED
    assert stage.until(_indexed)["error"] == ""


def test_a_next_build_is_filled_and_takes_the_slots_place(stage: Stage) -> None:
    slots = Slots(stage.store)
    old = slots.claim("blue", MADE)
    stage.until(_indexed)
    new = slots.begin_next("blue", old)
    said = stage.until(lambda ready, said: ready and said["build"] == new.id)
    assert said["position"] == 4
    assert (slots.find("blue"), slots.find_next("blue")) == (new, None)
    assert [folded(stage.store, new, shard) for shard in range(2)] == [
        folded(stage.store, old, shard) for shard in range(2)
    ]


def test_a_slot_is_rebuilt_although_its_own_build_is_damaged(stage: Stage) -> None:
    slots = Slots(stage.store)
    old = slots.claim("blue", MADE)
    stage.until(_indexed)
    stage.store.objects[f"builds/{old.id}/shard-00/log/{1:020d}.arrow"] = b"rubbish"
    new = slots.begin_next("blue", old)
    stage.process = IndexerProcess(Process(fleet="f", role="indexer", slot="blue", parameters="/f"))
    assert stage.until(lambda ready, said: ready and said["build"] == new.id)["position"] == 4
