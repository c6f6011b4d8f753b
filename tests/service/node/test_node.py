"""A node that can't start stays up, says why it is not ready, and starts as soon as it can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from starlette.requests import Request

from service import cloudwatch
from service.index.collection import CollectionIndex
from service.node import process as process_module
from service.node.api import NodeApi
from service.node.process import InheritedSockets, Node
from service.node.replica import Replica
from service.settings import FleetShape, Parameters, Process, Storage
from service.storage.collections import Kind, Registry, to_text
from service.storage.objects import StoredObject, StoreError, Unanswered
from service.storage.shards import Record, shard_log
from service.wire.messages import Hit, ShardQuery
from service.wire.problems import Problem
from tests.service.memory_store import MemoryStore
from tests.service.recorded import ours, recorded
from tests.service.shard_history import histories, index_all, shard_store, write
from tests.service.small_space import DIMS, build

BUILD = build(shards=1)
POINTER = "slots/blue.json"
SHAPE = FleetShape(shards=1, replicas=1)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A slot with a build of four entries, as every process finds it."""
    store = MemoryStore()
    for batch in histories(3, batches=4):
        write(store, [batch])
        index_all(store, BUILD)
    store.objects[POINTER] = msgspec.json.encode(BUILD)
    monkeypatch.setattr(process_module, "ObjectStore", lambda bucket: store)
    monkeypatch.setattr(process_module, "load_parameters", _parameters)
    monkeypatch.setattr(cloudwatch, "aws_client", lambda _: None)
    monkeypatch.setattr(process_module, "ERROR_PAUSE_SECONDS", 0.001, raising=False)
    monkeypatch.setattr(process_module, "BUILD_POLL_SECONDS", 0.001)
    return store


def _parameters(prefix: str, slot: str) -> Parameters:
    made = BUILD.recipe
    return Parameters(Storage("documents", "index", "artifacts"), made.embedding, made.chunking, made.index, SHAPE)


def _node(folder: Path, shard: int = 0) -> Node:
    process = Process(fleet="f", role="node", slot="blue", parameters="/f", shard=shard, data=str(folder))
    return Node(process, InheritedSockets(-1, -1))


async def _nobody(snapshot: str) -> bool:
    """Pretend that no successor takes over."""
    return False


def _until(node: Node, reached: Callable[[bool, str], bool]) -> None:
    """Run the node until its readiness is as wanted; fail when its work ends or ten seconds pass."""

    async def run() -> None:
        working = asyncio.create_task(node._follow(_nobody))
        for _ in range(1_000):
            ready, body = node._api.readiness()
            if reached(ready, str(body)) or working.done():
                break
            await asyncio.wait((working,), timeout=0.01)
        assert not working.done(), working
        assert reached(ready, str(body)), body
        working.cancel()

    asyncio.run(run())


@pytest.mark.parametrize("where", [POINTER, "shard-00/log/"])
def test_a_failing_store_is_retried_and_readiness_says_so(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    get, unwell = store.get, True
    last = max(key for key in store.objects if "shard-00/log/" in key)

    def ask(key: str) -> StoredObject:
        if unwell and key in (where, last if where != POINTER else where):
            raise Unanswered(f"get {key}: 503")
        return get(key)

    monkeypatch.setattr(store, "get", ask)
    node = _node(tmp_path)
    _until(node, lambda ready, body: not ready and "503" in body)
    unwell = False
    _until(node, lambda ready, body: ready and "'position': 4," in body and "'reason': ''" in body)


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://ssm"),
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetParametersByPath"),
    ],
)
def test_unreadable_parameters_are_read_again(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(prefix: str, slot: str) -> Parameters:
        raise error

    monkeypatch.setattr(process_module, "load_parameters", fail)
    node = _node(tmp_path)
    _until(node, lambda ready, body: not ready and str(error)[:20] in body)
    monkeypatch.setattr(process_module, "load_parameters", _parameters)
    _until(node, lambda ready, body: ready)


def test_a_node_searches_as_configured_and_reports_refusals(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = msgspec.structs.replace(BUILD.recipe.index, ef_search=123, m=9)
    changed = msgspec.structs.replace(_parameters("", ""), index=index)
    monkeypatch.setattr(process_module, "load_parameters", lambda *_: changed)
    node = _node(tmp_path)
    _until(node, lambda ready, body: ready)
    said = msgspec.to_builtins(node._api.readiness()[1])
    assert said["index"]["ef_search"] == 123
    assert said["index"]["m"] == BUILD.recipe.index.m
    assert "the configuration differs: index.m 8 → 9" in said["misconfigured"]


@pytest.mark.parametrize(("position", "comes"), [(4, True), (5, False)])
def test_a_successor_that_is_behind_does_not_take_over(
    store: MemoryStore, tmp_path: Path, position: int, comes: bool
) -> None:
    process = Process(fleet="f", role="node", slot="blue", parameters="/f", data=str(tmp_path))
    node = Node(process, InheritedSockets(-1, -1), "newest", position)
    if comes:
        assert node._successor().position == 4
    else:
        with pytest.raises(StoreError, match="position 4 is reached, 5 is needed"):
            node._successor()


def test_a_successor_that_would_stop_too_does_not_take_over(store: MemoryStore, tmp_path: Path) -> None:
    store.delete(shard_log(store, BUILD.id, 0, DIMS).key(3))
    process = Process(fleet="f", role="node", slot="blue", parameters="/f", data=str(tmp_path))
    with pytest.raises(StoreError, match=r"this process would stop at the same entry: .* entry 3 is missing"):
        Node(process, InheritedSockets(-1, -1), "newest")._successor()


def test_a_node_gives_way_when_its_log_was_made_again(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In larger steps than before, its own last entry is gone; in as many, its entries follow on others."""
    monkeypatch.setattr(process_module, "FIRST_DAMAGED_SECONDS", 0.001)
    monkeypatch.setattr(process_module, "LONGEST_DAMAGED_SECONDS", 0.002)
    asked: list[str] = []
    node = _node(tmp_path)

    async def succeed(snapshot: str) -> bool:
        asked.append(snapshot)
        return False

    async def run() -> None:
        working = asyncio.create_task(node._follow(succeed))
        while not node._api.readiness()[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert not asked
        store.objects = {key: body for key, body in store.objects.items() if not key.startswith("builds/")}
        index_all(store, BUILD)
        while len(asked) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        working.cancel()

    asyncio.run(asyncio.wait_for(run(), 20))
    ready, body = node._api.readiness()
    assert (ready, "entry 4 was there and is missing now" in str(body)) == (False, True)
    assert set(asked) == {"newest"}
    successor = Node(node._process, InheritedSockets(-1, -1), "newest", 4, 4)._successor()
    assert (successor.position, successor.ready) == (4, True)


def test_a_node_of_a_missing_shard_stays_unready(store: MemoryStore, tmp_path: Path) -> None:
    _until(_node(tmp_path, shard=1), lambda ready, body: not ready and "has shards 0 to 0, but not 1" in body)


def test_only_a_first_restore_asks_the_group_for_more_time(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def boot(replica: Replica) -> None:
        seen.append(node._restoring)
        raise Unanswered("get: 503")

    monkeypatch.setattr(Replica, "boot", boot)
    node = _node(tmp_path)
    _until(node, lambda ready, body: len(seen) >= 2)
    assert (seen[:2], node._is_getting_ready()) == ([True, False], False)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_node_waiting_for_the_indexer_asks_for_more_time(store: MemoryStore, tmp_path: Path, damaged: bool) -> None:
    write(store, histories(4, batches=2))
    if damaged:
        store.objects[shard_log(store, BUILD.id, 0, DIMS).key(4)] = b"damaged"
    node = _node(tmp_path)
    reason = "entry 4: 7 bytes" if damaged else "ready from 6, the"
    _until(node, lambda ready, body: not ready and reason in body and node._is_getting_ready() != damaged)
    if not damaged:
        index_all(store, BUILD)
        _until(node, lambda ready, body: ready and not node._is_getting_ready())


def test_only_real_waiting_for_a_position_is_a_span(store: MemoryStore, tmp_path: Path) -> None:
    replica, api = Replica(shard_store(store, BUILD, 0, tmp_path)), NodeApi()
    replica.boot()
    api.serve(replica)

    async def ask() -> None:
        await api._ready_for(BUILD.id, 4, 1.0)
        with pytest.raises(Problem):
            await api._ready_for(BUILD.id, 5, 0.01)

    with recorded() as found:
        asyncio.run(ask())
        assert ours(found.one("wait")) == {"position": 5, "applied": 4, "reached": False}


def test_a_collection_dropped_during_a_search_is_gone(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica, api = Replica(shard_store(store, BUILD, 0, tmp_path)), NodeApi()
    replica.boot()
    replica.index.apply(_change(Registry().with_one("notes", Kind("vector", 2, "a/1"), 5).registry))
    api.serve(replica)
    body = msgspec.msgpack.encode(ShardQuery(BUILD.id, np.ones(2, np.float32).tobytes(), 1, collection=5))

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def dropped(*_: object, **__: object) -> list[Hit]:
        replica.index.apply(_change(Registry()))
        return [Hit("s", "", "", 1.0)]

    monkeypatch.setattr(CollectionIndex, "search_with", dropped)
    with pytest.raises(Problem, match="collection 5 is gone") as gone:
        asyncio.run(api.search(Request({"type": "http", "method": "POST", "headers": []}, receive)))
    assert gone.value.status == 410


def _change(registry: Registry) -> Record:
    return Record(
        position=5,
        item=0,
        source_id="",
        title="",
        content_hash=b"",
        chunks=[],
        vectors=np.empty((0, 8), np.float32),
        registry=to_text(registry),
    )
