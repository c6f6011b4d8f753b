"""An indexer process extends the build that stands, and stays to say what it can't do."""

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
    """An indexer process over stores in memory; `parameters` and `loads` may be changed between two tries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.parameters = MemoryStore(), CONFIGURED
        self.loaded: list[Embedding] = []
        self.unknown = set[Embedding]()
        write(self.store, histories(3, batches=4))
        monkeypatch.setattr(process_module, "ObjectStore", lambda _: self.store)
        monkeypatch.setattr(process_module, "load_parameters", lambda _: self._parameters())
        monkeypatch.setattr(conformance, "check", lambda _: None)
        monkeypatch.setattr(providers, "load", self._load)
        for pause in ("ERROR_PAUSE_SECONDS", "UNUSABLE_PAUSE_SECONDS"):
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
        """Let the process work until its readiness is as wanted; returns what it says then."""

        async def run() -> dict[str, Any]:
            working = asyncio.create_task(self.process._work())
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

        return asyncio.run(run())


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A slot that has no build yet."""
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
    # The model of the configuration is not at hand, and nobody needs it.
    stage.unknown = {other}
    said = stage.until(_indexed)
    assert (said["build"], stage.loaded) == (build.id, [MADE.embedding])
    assert "embedding.model words → other, embedding.version 1 → 2, shards 2 → 3" in said["misconfigured"]
    assert [folded(stage.store, build, shard)[1] for shard in range(2)] == [4, 4]


def test_a_changed_effort_is_nothing_to_an_indexer(stage: Stage) -> None:
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
def test_an_indexer_without_the_builds_model_stays_and_says_so(stage: Stage, fingerprint: str, reason: str) -> None:
    made = msgspec.structs.replace(MADE, fingerprint=fingerprint)
    stage.store.create("slots/blue.json", msgspec.json.encode(Build("b-1", made)))
    said = stage.until(lambda ready, said: not ready and reason in said["reason"])
    assert said["misconfigured"] == ""


def test_it_goes_on_when_a_person_has_mended_what_was_wrong(stage: Stage) -> None:
    stage.unknown = {MADE.embedding}
    stage.until(lambda ready, said: not ready and "words/1 is not installed" in said["reason"])
    stage.unknown = set()
    stage.parameters = msgspec.structs.replace(CONFIGURED, index=msgspec.structs.replace(MADE.index, ef_search=1))
    stage.until(lambda ready, said: not ready and "ef_search is 1; allowed are 50 to 500" in said["reason"])
    stage.parameters = CONFIGURED
    assert stage.until(_indexed)["error"] == ""
