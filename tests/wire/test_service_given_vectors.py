"""A fleet whose documents come with their vectors, near by Euclidean distance: in the delta, the graph and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from service.index.rebuild_policy import QUIET_DELTA_ROWS
from tests.wire.service_fleet import INDEX, Member, ServiceFleet, eventually, get, new_fleet, refused

Connect = Callable[[str], Any]
ADJUSTED = b"vectorfleet_node_adjusted 1.0"
Vectors = npt.NDArray[np.float32]
DIMS = 24
SHARDS = 2
ROWS = SHARDS * (QUIET_DELTA_ROWS + 100)
RANDOM = np.random.default_rng(11)
HELD = RANDOM.normal(0, 5, (ROWS, DIMS)).astype(np.float32)


def serve(fleet: ServiceFleet, dims: int, parameters: dict[str, Any]) -> None:
    """Have it embed nothing, and index vectors so."""
    fleet.embedding = {"provider": "given", "model": "ours", "version": "2", "dims": dims}
    fleet.parameters = INDEX | parameters
    fleet.boot(replicas=1)


@pytest.fixture
def new(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """A fleet that is not booted yet."""
    one = new_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=SHARDS)
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture
def fleet(new: ServiceFleet) -> ServiceFleet:
    """Two shards with a replica each."""
    serve(new, DIMS, {"metric": "l2"})
    return new


def write(fleet: ServiceFleet, vectors: Vectors, first: int = 0) -> int:
    """Documents named by their numbers; returns the position of the last."""
    client, position = fleet.client(), 0
    for at in range(0, len(vectors), 500):
        documents = [
            {"source_id": f"v{first + at + row}", "text": f"text {first + at + row}", "vector": vector}
            for row, vector in enumerate(vectors[at : at + 500])
        ]
        position = client.write(documents)["position"]
    return position


def check(fleet: ServiceFleet, held: Vectors, position: int, *, least: float) -> None:
    """Searches find what is nearest, with minus the squared distance as its score; exact ones find all of it."""
    client = fleet.client()
    for exact, wanted_recall in ((True, 1.0), (False, least)):
        right = 0
        for query in RANDOM.normal(0, 5, (20, DIMS)).astype(np.float32):
            apart = ((held.astype(np.float64) - query) ** 2).sum(axis=1)
            nearest = np.argsort(apart)[:5]
            found = client.search(vector=query, k=5, exact=exact, min_position=position)["hits"]
            right += len({f"v{row}" for row in nearest} & {hit["source_id"] for hit in found})
            for hit in found:
                row = int(hit["source_id"][1:])
                assert hit["score"] == pytest.approx(-apart[row], rel=1e-5)
                assert hit["text"] == f"text {row}"
        assert right >= wanted_recall * 100


def test_the_nearest_is_found_in_every_part_of_the_index(fleet: ServiceFleet) -> None:
    position = write(fleet, HELD)
    check(fleet, HELD, position, least=1.0)
    eventually(lambda: all((node.ready() or {"generation": 0})["generation"] for node in fleet.nodes), "bases")
    check(fleet, HELD, position, least=0.95)
    moved = HELD.copy()
    moved[:50] += 1
    position = write(fleet, moved[:50])
    check(fleet, moved, position, least=0.95)
    for node in fleet.nodes:
        node.kill()
        node.start()
    fleet.await_ready()
    check(fleet, moved, position, least=0.95)


def test_a_vector_outside_the_space_is_refused(fleet: ServiceFleet) -> None:
    client = fleet.client()
    numbers: Sequence[float] = [1.0] * DIMS
    refused(422, "needs a vector, of model ours/2", lambda: client.write([{"source_id": "a", "text": "x"}]))
    refused(422, "components", lambda: client.write([{"source_id": "a", "vector": [1.0]}]))
    refused(409, "serves model ours/2", lambda: client.write([{"source_id": "a", "vector": numbers}], model="ours/1"))
    refused(422, "ask with a vector of the same model", lambda: client.search(text="anything"))
    assert client.status()["head"] == 0
    written = client.write([{"source_id": "a", "vector": numbers}], model="ours/2")
    (hit,) = client.search(vector=numbers, k=1, min_position=written["position"])["hits"]
    assert (hit["source_id"], hit["score"]) == ("a", 0.0)
    assert client.delete("a")["position"] == written["position"] + 1


def effort(node: Member) -> int:
    """The ef_search that the base of a ready node is searched with where it is not the configured one, else 0."""
    said = node.ready() or {"adjusted": {}}
    return int(said["adjusted"].get("0", {"ef_search": 0})["ef_search"])


def test_a_graph_that_finds_too_little_is_searched_further(new: ServiceFleet) -> None:
    """Directions without any structure: a graph as thin as this one finds the less of them the more there are."""
    serve(new, 256, {"metric": "cosine", "m": 8, "ef_construction": 100, "ef_search": 50})
    shapeless = RANDOM.normal(size=(SHARDS * 3_000, 256)).astype(np.float32)
    position = write(new, shapeless)

    # While a fresh process takes over, either of the two may answer.
    eventually(lambda: all(effort(node) > 50 for node in new.nodes), "bases that are searched further")
    eventually(lambda: all(ADJUSTED in get(f"{node.url}/metrics")[2] for node in new.nodes), "a metric that says so")
    client, right = new.client(), 0
    held = shapeless / np.linalg.norm(shapeless, axis=1, keepdims=True)
    for query in held[:: len(held) // 40] + RANDOM.normal(0, 0.02, held[:: len(held) // 40].shape):
        wanted = np.argsort(-(held @ query))[:10]
        found = client.search(vector=query.astype(np.float32), k=10, min_position=position)["hits"]
        right += len({f"v{row}" for row in wanted} & {hit["source_id"] for hit in found})
    assert right >= 0.85 * 10 * len(held[:: len(held) // 40])
