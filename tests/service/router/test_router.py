"""A router serves what its slot's build was made with, whatever the parameters say by now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError
from starlette.requests import Request

from service import cloudwatch
from service.embedding import model, providers
from service.embedding.splitter import SPLITTER
from service.router import configuration, process, replicas
from service.router.process import RouterProcess
from service.router.scatter import ShardAnswers
from service.settings import BadSettings, FleetShape, Parameters, Process, Storage
from service.storage.builds import Build, Chunking, Embedding, IndexParameters, Recipe
from service.wire.messages import Hit, LookupAnswer, ShardAnswer, ShardLookup, ShardQuery
from service.wire.problems import Problem
from tests.service.memory_store import MemoryStore
from tests.service.routes import endpoint

COLLECTION = "/v1/collections/{name:any}"
NOW = Embedding("now", "2", 4)
THEN = Embedding("then", "1", 4)
CHUNKING, INDEX = Chunking(100, 10), IndexParameters("hnsw", "cosine", 8, 50, 50)


class Model:
    """A model that embeds everything alike."""

    side_by_side = 0

    def __init__(self, embedding: Embedding, *_: object) -> None:
        if embedding.model == "gone":
            raise model.UnknownModel("embedding model 'gone' is not known")
        self.fingerprint = f"{embedding.model}-{embedding.version}"

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> model.Vectors:
        return np.ones((len(texts), 4), np.float32)


def _recipe(embedding: Embedding, fingerprint: str) -> Recipe:
    return Recipe(embedding, CHUNKING, INDEX, 3, f"{SPLITTER} {fingerprint}")


def _connected(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe | None, test: Callable[[RouterProcess], Awaitable[None]]
) -> None:
    """Run `test` with the API of a router whose parameters say 5 shards and NOW; its slot's build has `recipe`."""
    store = MemoryStore()
    if recipe is not None:
        store.create("slots/blue.json", msgspec.json.encode(Build("b-1", recipe)))
    parameters = Parameters(Storage("d", "i", "a"), NOW, CHUNKING, INDEX, FleetShape(5, 2))
    for module in (configuration, process):
        monkeypatch.setattr(module, "load_parameters", lambda *_: parameters)
    monkeypatch.setattr(process, "ObjectStore", lambda _: store)
    monkeypatch.setattr(providers, "load", Model)
    for module in (replicas, cloudwatch):
        monkeypatch.setattr(module, "aws_client", lambda _: None)

    async def run() -> None:
        router = RouterProcess(Process(fleet="f", role="router", slot="blue", parameters="/f"))
        running = [asyncio.create_task(router.connect()), asyncio.create_task(router.commits.run())]
        try:
            for _ in range(500):
                loaded = router.slot.embedder is not None or router.slot.fault
                if router.commits.ready and (recipe is None or (router.slot.scatter is not None and loaded)):
                    break
                assert not any(task.done() for task in running), [task for task in running if task.done()]
                await asyncio.sleep(0.01)
            await test(router)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(run())


def _request(body: object, name: str = "") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return Request(scope | {"path_params": {"name": name}}, receive)


async def _answer(router: RouterProcess, method: str, path: str, body: object = None, name: str = "") -> Any:
    """Return the decoded answer to a request; raise the Problem that it meets."""
    response = await endpoint(router.routes, method, path)(_request({} if body is None else body, name))
    return json.loads(bytes(response.body))


async def _shards(router: RouterProcess) -> int:
    return len((await _answer(router, "GET", "/v1/status"))["shards"])


def test_shards_and_model_are_those_of_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(router: RouterProcess) -> None:
        assert router.slot.embedder is not None
        assert (await router.slot.embedder.vector("keys")).tolist() == [1.0] * 4
        assert router.readiness()[1] == {"ready": False, "build": "b-1", "shards_missing": [0, 1, 2]}
        assert await _shards(router) == 3

    _connected(monkeypatch, _recipe(THEN, "then-1"), test)


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (_recipe(THEN, "then-1-other-weights"), "then-1-other-weights', this router has then-1"),
        (_recipe(THEN, "not-then-1"), "this router has then-1"),
        (_recipe(Embedding("gone", "1", 4), "gone-1"), "'gone' is not known"),
    ],
)
def test_without_the_builds_model_only_searches_are_refused(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe, reason: str
) -> None:
    async def test(router: RouterProcess) -> None:
        ready, said = router.readiness()
        assert not ready
        assert reason in str(said)
        with pytest.raises(Problem) as caught:
            await _answer(router, "POST", "/v1/search", {"text": "keys"})
        assert caught.value.status == 503
        assert reason in caught.value.detail
        written = await _answer(router, "POST", "/v1/documents", {"documents": [{"source_id": "s", "text": "t"}]})
        assert written["position"] == 1
        assert await _shards(router) == 3

    _connected(monkeypatch, recipe, test)


def test_a_refused_configuration_is_in_status_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(router: RouterProcess) -> None:
        status = await _answer(router, "GET", "/v1/status")
        assert "embedding.model then → now, embedding.version 1 → 2, shards 3 → 5" in status["misconfigured"]
        assert (status["indexing"], status["indexers"]) == ("realtime", [])
        assert router.metrics._seen()["ConfigurationRefused"] == 1

    _connected(monkeypatch, _recipe(THEN, "then-1"), test)


def test_the_status_shows_the_effort_that_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(router: RouterProcess) -> None:
        status = await _answer(router, "GET", "/v1/status")
        assert (status["recipe"]["index"]["ef_search"], status["misconfigured"]) == (50, "")
        assert router.metrics._seen()["ConfigurationRefused"] == 0

    index = msgspec.structs.replace(INDEX, ef_search=499)
    made = Recipe(NOW, CHUNKING, index, 5, f"{SPLITTER} now-2")
    _connected(monkeypatch, made, test)


def test_a_change_is_judged_while_the_router_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    build = Build("b-1", Recipe(NOW, CHUNKING, INDEX, 5, "f"))
    same = Parameters(Storage("d", "i", "a"), NOW, CHUNKING, INDEX, FleetShape(5, 2))
    answers: list[Parameters | Exception] = [
        same,
        msgspec.structs.replace(same, chunking=Chunking(200, 10)),
        EndpointConnectionError(endpoint_url="https://ssm"),
        BadSettings("parameter /f/index is missing"),
        same,
    ]
    judged = configuration.Configuration("/f", "blue")
    seen = list[str]()

    def read(*_: str) -> Parameters:
        seen.append(judged.refused)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(configuration, "load_parameters", read)
    monkeypatch.setattr(configuration, "LOOK_SECONDS", 0.0)
    with pytest.raises(IndexError):
        asyncio.run(judged.run(build))
    differs = "slot blue keeps build b-1, but the configuration differs: chunking.size 100 → 200. "
    assert [one.partition("A build never")[0] for one in seen] == [
        "", "", differs, differs, "parameter /f/index is missing", "",
    ]  # fmt: skip


@pytest.mark.parametrize(("complete", "partial"), [([True] * 3, False), ([True, False, True], True), ([True], True)])
def test_an_answer_by_a_replica_that_is_not_ready_is_partial(
    monkeypatch: pytest.MonkeyPatch, complete: list[bool], partial: bool
) -> None:
    class Answers:
        async def search(self, _: ShardQuery) -> ShardAnswers[ShardAnswer]:
            hits = [Hit("a", "", "", 0.5)]
            return ShardAnswers({shard: ShardAnswer(4, hits, one) for shard, one in enumerate(complete)}, 0)

        async def lookup(self, _: dict[int, ShardLookup]) -> ShardAnswers[LookupAnswer]:
            return ShardAnswers({shard: LookupAnswer(4, {}, one) for shard, one in enumerate(complete)}, 0)

    async def test(router: RouterProcess) -> None:
        monkeypatch.setattr(router.slot, "scatter", Answers())
        answer = await _answer(router, "POST", "/v1/search", {"text": "keys"})
        assert (answer["partial"], answer["shards_answered"]) == (partial, len(complete))
        assert len(answer["hits"]) == len(complete)
        ids = {"source_ids": [f"s{n}" for n in range(20)]}
        if not partial:
            assert (await _answer(router, "POST", "/v1/documents/lookup", ids))["position"] == 4
            return
        with pytest.raises(Problem, match=f"{sum(complete)} of 3 shards answered"):
            await _answer(router, "POST", "/v1/documents/lookup", ids)

    _connected(monkeypatch, _recipe(NOW, "now-2"), test)


def test_without_a_build_the_status_answers_and_writes_work(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(router: RouterProcess) -> None:
        assert (await _answer(router, "GET", "/v1/status"))["build"] is None
        with pytest.raises(Problem, match="no build yet"):
            await _answer(router, "POST", "/v1/search", {"text": "keys"})
        written = await _answer(router, "POST", "/v1/documents", {"documents": [{"source_id": "s", "text": "t"}]})
        assert written["position"] == 1

    _connected(monkeypatch, None, test)


class _Answering:
    """Nodes of three shards: of each the answer, or what keeps it from answering."""

    def __init__(self, answered: int, behind: int) -> None:
        self.gathered: ShardAnswers[Any] = ShardAnswers(dict.fromkeys(range(answered), ShardAnswer(5, [])), behind)

    async def search(self, _: object) -> ShardAnswers[Any]:
        return self.gathered

    async def lookup(self, _: object) -> ShardAnswers[Any]:
        return self.gathered


@pytest.mark.parametrize(
    ("answered", "behind", "errors", "behind_answers"), [(0, 3, 0, 2), (2, 1, 0, 2), (1, 1, 1, 0), (0, 0, 1, 0)]
)
def test_shards_that_lag_are_no_error_of_the_fleet(
    monkeypatch: pytest.MonkeyPatch, answered: int, behind: int, errors: int, behind_answers: int
) -> None:
    async def test(router: RouterProcess) -> None:
        router.slot.scatter = cast(Any, _Answering(answered, behind))
        ids = [f"s{number}" for number in range(50)]  # of every shard
        search, lookup = {"text": "keys", "min_position": 9}, {"source_ids": ids, "min_position": 9}
        for path, body in (("/v1/search", search), ("/v1/documents/lookup", lookup)):
            with pytest.raises(Problem, match=f"{answered} of 3 shards answered") as refused:
                await _answer(router, "POST", path, body)
            assert (refused.value.status, refused.value.extra["shards_behind"]) == (503, behind)
        counts = {one["MetricName"]: one["Value"] for one in router.metrics._drain() if "Value" in one}
        assert (counts["Requests"], counts["Errors"], counts["BehindAnswers"]) == (1, errors, behind_answers)
        # An answer to a batch is a 200, whatever became of its searches.
        await _answer(router, "POST", "/v1/search/batch", {"searches": [search]})
        counts = {one["MetricName"]: one["Value"] for one in router.metrics._drain() if "Value" in one}
        assert (counts["Requests"], counts["Errors"], counts["BehindAnswers"]) == (1, errors, 0)

    _connected(monkeypatch, _recipe(THEN, "then-1"), test)


def test_the_status_says_how_far_shards_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(router: RouterProcess) -> None:
        await _answer(router, "POST", "/v1/documents", {"documents": [{"source_id": "s", "text": "t"}]})
        said = await _answer(router, "GET", "/v1/status")
        assert (said["head"], said["head_fault"], said["lag_limit_seconds"]) == (1, "", 30.0)
        assert [shard["lag"]["state"] for shard in said["shards"]] == ["unknown"] * 3

    _connected(monkeypatch, _recipe(THEN, "then-1"), test)


def test_a_change_that_changes_nothing_makes_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(router: RouterProcess) -> None:
        made = await _answer(router, "PUT", COLLECTION, {}, "notes")

        async def no_commit(_: object) -> None:
            raise AssertionError("a commit")

        monkeypatch.setattr(router.commits, "change", no_commit)
        assert await _answer(router, "PUT", COLLECTION, {}, "notes") == made
        for name, body, status in (("notes", {"index": {"m": 32}}, 409), ("other", None, 404), ("default", None, 409)):
            with pytest.raises(Problem) as refused:
                await _answer(router, "DELETE" if body is None else "PUT", COLLECTION, body, name)
            assert refused.value.status == status
        with pytest.raises(AssertionError, match="a commit"):
            await _answer(router, "DELETE", COLLECTION, None, "notes")

    _connected(monkeypatch, _recipe(NOW, "now-2"), test)
