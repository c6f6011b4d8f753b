"""A fleet whose embedding model runs elsewhere: what goes on while it is away, and that nothing is given up for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.client import ServiceError
from tests.service.model_server import Failure, ModelServer, serving
from tests.service.small_space import DIMS, WordEmbedder
from tests.wire.service_fleet import ServiceFleet, documents, eventually, get, new_fleet, refused, value_of

Connect = Callable[[str], Any]
AWAY = (503, {"Retry-After": "0"}, b"back soon")


def about(words: str, name: str) -> str:
    """Return the embedded text of one of the `documents`: in so small a space nothing less is sure to be nearest."""
    return f"Note {name}. {words} in note {name}."


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with serving(ModelServer()) as made:
        yield made


@pytest.fixture(scope="module")
def fleet(
    connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory, server: ModelServer
) -> Iterator[ServiceFleet]:
    """One shard, one replica, and a model that answers over HTTP."""
    one = new_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=1)
    one.embedding = {"provider": "openai", "model": "words", "version": "1", "dims": DIMS, "url": f"{server.url}/v1"}
    try:
        one.boot(replicas=1)
        yield one
    finally:
        one.stop()


def test_documents_and_questions_are_embedded_elsewhere(fleet: ServiceFleet, server: ModelServer) -> None:
    client = fleet.client()
    written = client.write(documents(["a"], "turtles") + documents(["b"], "aeroplanes"))
    found = client.search(text=about("aeroplanes", "b"), k=1, min_position=written["position"])
    assert [hit["source_id"] for hit in found["hits"]] == ["b"]
    before = len(server.requests)
    client.search(text=about("aeroplanes", "b"), k=1)
    assert len(server.requests) == before
    metrics = get(f"{fleet.routers[0].url}/metrics")[2].decode()
    assert 'vectorfleet_embedding_requests_total{outcome="answered"}' in metrics


def test_without_its_model_a_fleet_searches_by_vector(fleet: ServiceFleet, server: ModelServer) -> None:
    client = fleet.client()
    first = client.write(documents(["c"], "submarines"))
    fleet.await_position(first["position"])
    server.fails = lambda texts: AWAY
    try:
        with pytest.raises(ServiceError, match="the embedding model") as refused:
            client.search(text="never asked before")
        assert refused.value.status == 503
        vector = WordEmbedder().embed([about("submarines", "c")])[0]
        assert client.search(vector=vector.tolist(), k=1)["hits"][0]["source_id"] == "c"
        second = client.write(documents(["d"], "locomotives"))
        eventually(lambda: b"503" in get(f"{fleet.indexers[0].url}/readyz")[2], "an indexer that says what it lacks")
    finally:
        server.fails = lambda texts: None
    fleet.await_position(second["position"])
    assert client.search(text=about("locomotives", "d"), k=1)["hits"][0]["source_id"] == "d"
    assert b"vectorfleet_indexer_rejected_total 0.0" in get(f"{fleet.indexers[0].url}/metrics")[2]


def test_a_router_gets_a_model_that_returns(fleet: ServiceFleet, server: ModelServer) -> None:
    server.fails = lambda texts: AWAY
    router = fleet.routers[0]
    try:
        router.kill()
        router.start()
        eventually(lambda: b"back soon" in get(f"{router.url}/readyz")[2], "a router that says what it lacks")
    finally:
        server.fails = lambda texts: None
    eventually(router.ready, "a router with its model")
    assert fleet.client().search(text=about("turtles", "a"), k=1)["hits"][0]["source_id"] == "a"


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("five hundred", (500, {}, b"numpy: overflow")),
        ("not a number", (200, {}, b'{"data": [{"index": 0, "embedding": [NaN]}]}')),
    ],
    ids=["500", "NaN"],
)
def test_a_text_that_the_server_cannot_embed_stops_no_other(
    fleet: ServiceFleet, server: ModelServer, name: str, failure: Failure
) -> None:
    client, indexer = fleet.client(), fleet.indexers[0]
    before = value_of(indexer.url, "vectorfleet_indexer_rejected_total")
    server.fails = lambda texts: failure if any("poison" in text for text in texts) else None
    try:
        first = client.write(documents([name], "poison") + documents(["e"], "bicycles"))
        fleet.await_position(first["position"])
        assert client.search(text=about("bicycles", "e"), k=1)["hits"][0]["source_id"] == "e"
        assert client.lookup([name], first["position"])["documents"] == {name: None}
        assert value_of(indexer.url, "vectorfleet_indexer_rejected_total") == before + 1
        refused(422, "can't be embedded", lambda: client.search(text="poison"))
        fleet.await_position(client.delete(name)["position"])
    finally:
        server.fails = lambda texts: None
