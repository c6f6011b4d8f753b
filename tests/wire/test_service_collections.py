"""Collections of a real fleet with two routers: texts and vectors apart, over bases, lost machines and namesakes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from service.client import Client
from service.index.rebuild_policy import QUIET_DELTA_ROWS
from service.storage.collections import Registry, registry_of
from service.storage.documents import Document, documents_log, from_entry
from service.storage.log import Tail
from service.storage.objects import ObjectStore
from tests.wire.service_fleet import ServiceFleet, aws_environment, eventually, new_fleet, refused

Connect = Callable[[str], Any]
Vectors = npt.NDArray[np.float32]
SHARDS = 2
DIMS = 24
ROWS = SHARDS * (QUIET_DELTA_ROWS + 100)
RANDOM = np.random.default_rng(5)
HELD = RANDOM.normal(0, 5, (ROWS, DIMS)).astype(np.float32)


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """Two shards with a replica each behind two routers; its own documents are texts."""
    one = new_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=SHARDS)
    try:
        one.boot(replicas=1, routers=2)
        yield one
    finally:
        one.stop()


def nearest(held: Mapping[str, Vectors], query: Vectors, count: int) -> list[str]:
    return sorted(held, key=lambda name: float(((held[name] - query) ** 2).sum()))[:count]


def check_pictures(client: Client, position: int, *, least: float) -> None:
    held = {f"v{row}": vector for row, vector in enumerate(HELD)}
    for exact, wanted in ((True, 1.0), (False, least)):
        right = 0
        for query in RANDOM.normal(0, 5, (10, DIMS)).astype(np.float32):
            hits = client.search(vector=query, k=5, exact=exact, min_position=position, collection="pictures")["hits"]
            right += len({hit["source_id"] for hit in hits} & set(nearest(held, query, 5)))
        assert right >= wanted * 50


def check_texts(client: Client, position: int) -> None:
    """One source_id in three collections is three documents."""
    for collection, text in (("default", "Keys are rotated."), ("papers", "A paper about keys.")):
        found = client.search(text="keys", k=5, min_position=position, collection=collection)["hits"]
        assert [(hit["source_id"], hit["text"]) for hit in found] == [("guide/7", text)]
        assert client.document("guide/7", position, collection=collection)["text"] == text
    held = client.lookup(["guide/7", "v3"], position, collection="pictures")["documents"]
    assert held["guide/7"] is None
    assert held["v3"] is not None
    assert client.lookup(["v3"], position)["documents"] == {"v3": None}


def fill(client: Client) -> int:
    client.create_collection("papers")
    client.create_collection("pictures", dims=DIMS, model="eyes/1", index={"type": "hnsw", "metric": "l2"})
    client.write([{"source_id": "guide/7", "text": "Keys are rotated."}])
    client.write([{"source_id": "guide/7", "text": "A paper about keys."}], collection="papers")
    position = 0
    for at in range(0, ROWS, 500):
        documents = [{"source_id": f"v{at + n}", "vector": vector} for n, vector in enumerate(HELD[at : at + 500])]
        position = client.write(documents, model="eyes/1", collection="pictures")["position"]
    return position


def test_collections_stay_apart_over_bases_and_lost_machines(fleet: ServiceFleet) -> None:
    one, two = fleet.client(0), fleet.client(1)
    position = fill(one)
    check_texts(two, position)
    check_pictures(two, position, least=0.95)
    there = two.collections()["collections"]
    assert [(c["name"], c["source"], c["dims"], c["metric"]) for c in there] == [
        ("default", "text", 256, "cosine"),
        ("papers", "text", 256, "cosine"),
        ("pictures", "vector", DIMS, "l2"),
    ]
    eventually(
        lambda: [c["documents"] for c in two.collections()["collections"]] == [1, 1, ROWS], "every node's own count"
    )
    eventually(lambda: all((node.ready() or {"generation": 0})["generation"] for node in fleet.nodes), "bases")
    check_texts(one, position)
    check_pictures(one, position, least=0.9)
    for member in fleet.members:
        member.kill()
    for node in fleet.nodes:
        # As on a new machine: nothing but S3 is left.
        node.environment["VECTORFLEET_DATA"] += "-new"
    for member in fleet.members:
        member.start()
    fleet.await_ready()
    check_texts(one, position)
    check_pictures(one, position, least=0.9)


def test_what_is_dropped_is_gone_and_a_namesake_is_another(fleet: ServiceFleet) -> None:
    one, two = fleet.client(0), fleet.client(1)
    refused(404, "there is no collection 'papers'", lambda: one.search(text="keys", collection="papers"))
    made = one.create_collection("papers")
    # Not gone, whatever the nodes have seen by now: the search waits for them.
    assert one.search(text="keys", collection="papers")["hits"] == []
    position = one.write([{"source_id": "guide/7", "text": "A paper about keys."}], collection="papers")["position"]
    kept = two.write([{"source_id": "guide/7", "text": "Keys are rotated."}])["position"]
    assert two.search(text="keys", min_position=position, collection="papers")["hits"]
    refused(409, "with another kind", lambda: two.create_collection("papers", dims=3))
    dropped = one.drop_collection("papers")
    assert (dropped["id"], dropped["position"]) == (made["id"], kept + 1)
    gone = f"collection 'papers' was dropped at position {dropped['position']}"
    # The other router knows of nothing yet.
    refused(410, gone, lambda: two.write([{"source_id": "a", "text": "late"}], collection="papers"))
    eventually(lambda: all(node.reaches(dropped["position"]) for node in fleet.nodes), "every node has seen it dropped")
    for client in (one, two):
        refused(410, gone, partial(client.search, text="keys", collection="papers"))
        refused(410, gone, partial(client.lookup, ["guide/7"], collection="papers"))
        refused(410, gone, partial(client.delete, "guide/7", collection="papers"))
    again = two.create_collection("papers", dims=3)
    assert again["id"] == dropped["position"] + 1
    # By its old kind nothing can be written any more, and nothing of what was is found.
    refused(422, "needs a vector", lambda: one.write([{"source_id": "a", "text": "late"}], collection="papers"))
    position = one.write([{"source_id": "b", "vector": [1, 2, 3]}], collection="papers")["position"]
    found = two.search(vector=[1, 2, 3], min_position=position, collection="papers")["hits"]
    assert [hit["source_id"] for hit in found] == ["b"]
    pinned = f"papers@{made['id']}"
    refused(410, "was dropped", lambda: one.search(text="keys", collection=pinned))
    assert one.search(vector=[1, 2, 3], collection=f"papers@{again['id']}")["hits"]
    assert one.search(text="keys", min_position=kept)["hits"][0]["text"] == "Keys are rotated."


Acknowledged = tuple[str, int, int]  # source_id, position, item


def _write_until(end: threading.Event, client: Client, writer: int, acknowledged: list[Acknowledged]) -> None:
    for number in range(100_000):
        if end.is_set():
            return
        name = f"{writer}.{number}"
        try:
            done = client.write([{"source_id": name, "text": f"note {number}"}], collection="notes")
        except Exception:
            continue
        acknowledged.append((name, done["position"], done["results"][0]["item"]))


def _longer(acknowledged: list[Acknowledged], than: int) -> bool:
    return len(acknowledged) > than


def _made_and_dropped(fleet: ServiceFleet, acknowledged: list[Acknowledged]) -> None:
    """Six times, and not dropped at last; each has some writes, and a router is killed in between."""
    client = fleet.client(0)
    for turn in range(6):
        eventually(lambda: client.create_collection("notes"), "made")
        eventually(partial(_longer, acknowledged, len(acknowledged) + 5), "some writes")
        if turn == 3:
            fleet.routers[1].kill()
            fleet.routers[1].start()
        if turn < 5:
            eventually(lambda: client.drop_collection("notes"), "dropped")


def _stored(fleet: ServiceFleet) -> dict[tuple[int, int], Document]:
    """Every document of the log by its place; the collection of each is there at its position."""
    stored, there = dict[tuple[int, int], Document](), Registry()
    for entry in documents_log(ObjectStore(fleet.documents)).follow(Tail()):
        there = registry_of(entry) or there
        for one in from_entry(entry):
            stored[one.position, one.item] = one.document
            assert one.document.registry or there.get(one.document.collection) is not None
    return stored


def _looked_up(client: Client, names: list[str], position: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for at in range(0, len(names), 500):
        found |= client.lookup(names[at : at + 500], position, collection="notes")["documents"]
    return found


def test_no_write_is_acknowledged_into_a_collection_that_is_gone(
    fleet: ServiceFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both routers write to one name while it is dropped and created again, and one of them is killed in between."""
    for name, value in aws_environment(fleet.endpoint).items():
        monkeypatch.setenv(name, value)
    acknowledged: list[Acknowledged] = []
    end = threading.Event()
    threads = [
        threading.Thread(target=_write_until, args=(end, fleet.client(writer), writer, acknowledged))
        for writer in (0, 1)
    ]
    for thread in threads:
        thread.start()
    try:
        _made_and_dropped(fleet, acknowledged)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    client, stored = fleet.client(0), _stored(fleet)
    last = client.collections()["collections"][1]
    position = max(position for _, position, _ in acknowledged)
    found = _looked_up(client, [name for name, _, _ in acknowledged], position)
    for name, place, item in acknowledged:
        assert stored[place, item].source_id == name
        # In the collection that had the name then, and so there now if it is the last.
        assert (found[name] is not None) is (place > last["id"])
        assert (stored[place, item].collection == last["id"]) is (place > last["id"])
