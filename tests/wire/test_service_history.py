"""A long random history of a small fleet, its processes killed and restarted throughout, against a plain model."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from service.client import Client, ServiceError, Unanswered
from tests.wire.service_fleet import Member, ServiceFleet, booted_fleet, eventually

Connect = Callable[[str], Any]
STEPS = 110
BUDGET_SECONDS = 45.0
ANSWER_SECONDS = 30.0
COLLECTIONS = ("default", "notes", "papers")
NAMES = [f"doc/{number}" for number in range(10)]
WORDS = ("river", "mountain", "engine", "violin", "harvest", "planet", "kitchen", "winter", "letter", "bridge")


@pytest.fixture(scope="module")
def fleet(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """One shard with two replicas, one indexer, one router."""
    with booted_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=1, replicas=2) as one:
        yield one


def _answered(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """
    The fleet's final answers: a caller that repeats exactly what it sent while routers and nodes restart.

    Refusals that repeating can't mend end the test.
    """
    until = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return call()
        except (ServiceError, Unanswered) as error:
            if isinstance(error, ServiceError) and error.status != 503:
                raise
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


def _dropped(client: Client, collection: str) -> dict[str, Any]:
    """A drop that may be the second one, since the first one's reply was lost."""
    try:
        return client.drop_collection(collection)
    except ServiceError as error:
        if error.status != 410:
            raise
        return {"position": 0}


@dataclass
class History:
    """A driver with its model: the text that every live document of a collection must have."""

    fleet: ServiceFleet
    rng: random.Random
    live: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in COLLECTIONS})
    sent: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    counted: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in COLLECTIONS})
    places: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    position: int = 0
    done: list[str] = field(default_factory=list)

    @property
    def _client(self) -> Client:
        return self.fleet.client(timeout_seconds=8)

    def step(self) -> None:
        """One thing that may happen to a fleet."""
        name = self.rng.choices(
            ["write", "delete", "repeat", "search", "lookup", "restart", "remake"], weights=[30, 12, 10, 25, 15, 8, 5]
        )[0]
        self.done.append(name)
        getattr(self, name)()

    def _write(self, documents: list[dict[str, Any]], collection: str) -> None:
        # The same request again and again until it is acknowledged: whichever of them landed, it counts once.
        answer = _answered(partial(self._client.write, documents, collection=collection))
        for document, result in zip(documents, answer["results"], strict=True):
            name, place = (collection, document["request_id"]), (result["position"], result["item"])
            first = name not in self.places
            assert self.places.setdefault(name, place) == place
            assert not first or result["position"] > self.position
        assert answer["position"] == max(result["position"] for result in answer["results"])
        self.position = max(self.position, answer["position"])

    def write(self) -> None:
        """New texts for some documents; some are long enough for several chunks."""
        documents, collection = [], self.rng.choice(COLLECTIONS)
        for name in self.rng.sample(NAMES, self.rng.randint(1, 4)):
            text = ". ".join(
                " ".join(self.rng.choices(WORDS, k=6)).capitalize() for _ in range(self.rng.randint(1, 20))
            )
            documents.append({"request_id": uuid4().hex, "source_id": name, "title": f"About {name}", "text": text})
        self._write(documents, collection)
        self.sent.append((collection, documents))
        self._count(documents, collection)

    def _count(self, documents: list[dict[str, Any]], collection: str) -> None:
        """Of one request_id the first write counts, in the collection that has the name now."""
        fresh = [one for one in documents if one["request_id"] not in self.counted[collection]]
        self.counted[collection] |= {one["request_id"] for one in fresh}
        self.live[collection].update({one["source_id"]: one["text"] for one in fresh})

    def delete(self) -> None:
        """One document, whether it is there or not."""
        name, collection = self.rng.choice(NAMES), self.rng.choice(COLLECTIONS)
        self._write([{"request_id": uuid4().hex, "source_id": name, "delete": True}], collection)
        self.live[collection].pop(name, None)

    def repeat(self) -> None:
        """An old request once more, after newer writes: it changes nothing, but for a collection that is another."""
        if self.sent:
            collection, documents = self.rng.choice(self.sent)
            self._write(documents, collection)
            self._count(documents, collection)

    def remake(self) -> None:
        """A collection is dropped, and another of its name made."""
        collection = self.rng.choice(COLLECTIONS[1:])
        _answered(partial(_dropped, self._client, collection))
        made = _answered(partial(self._client.create_collection, collection))
        assert made["id"] > self.position
        self.position, self.live[collection], self.counted[collection] = made["id"], {}, set()
        self.places = {name: place for name, place in self.places.items() if name[0] != collection}

    def search(self) -> None:
        """All documents of a collection, best first, as they are at the newest position."""
        self._search(self.rng.choice(COLLECTIONS))

    def _search(self, collection: str) -> None:
        live, words = self.live[collection], " ".join(self.rng.choices(WORDS, k=3))
        search = partial(self._client.search, text=words, collection=collection)
        exact = self.rng.random() < 0.3
        answer = _answered(partial(search, k=50, exact=exact, min_position=self.position))
        assert not answer["partial"]
        assert answer["position"] >= self.position
        hits = answer["hits"]
        assert sorted(hit["source_id"] for hit in hits) == sorted(live)
        assert all(hit["text"] in live[hit["source_id"]] for hit in hits)
        assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)

    def lookup(self) -> None:
        """Every document of a collection, held or not."""
        self._lookup(self.rng.choice(COLLECTIONS))

    def _lookup(self, collection: str) -> None:
        look = partial(self._client.lookup, NAMES, min_position=self.position, collection=collection)
        held = {name for name, place in _answered(look)["documents"].items() if place is not None}
        assert held == set(self.live[collection])

    def restart(self) -> None:
        """Kill a process without warning and start it again at once; the next step does not wait for it."""
        victim: Member = self.rng.choice(self.fleet.members)
        self.done[-1] = f"restart {victim.role}"
        victim.kill()
        victim.start()


@pytest.mark.parametrize("seed", [1])
def test_a_long_history_with_restarts_agrees_with_the_model(fleet: ServiceFleet, seed: int) -> None:
    history = History(fleet, random.Random(seed))
    for collection in COLLECTIONS[1:]:
        history.position = _answered(partial(fleet.client().create_collection, collection))["id"]
    until = time.monotonic() + BUDGET_SECONDS
    for _ in range(STEPS):
        if time.monotonic() > until:
            break
        history.step()
    for collection in COLLECTIONS:
        history._lookup(collection)
        history._search(collection)
    fleet.await_ready()
    fleet.await_position(history.position)
    first, second = (eventually(node.ready, "node ready") for node in fleet.nodes)
    assert (first["digest"], first["rows"]) == (second["digest"], second["rows"])
    assert first["documents"] == sum(map(len, history.live.values()))
    restarts = {step for step in history.done if step.startswith("restart")}
    assert restarts == {"restart node", "restart indexer", "restart router"}, "the history was too short to mean much"
    assert "remake" in history.done
