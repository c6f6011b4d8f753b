"""Clients that write, delete, count by compare-and-set, look up and search while the fleet is being broken."""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from service.client import Client, ServiceError, Unanswered

WORDS = (Path(__file__).parents[3] / "runbooks" / "observe" / "canary_words.txt").read_text(encoding="utf-8").split()
TIMEOUT_SECONDS = 4.0
PAUSE_SECONDS = 0.02
# Twice the lag from which on a fleet has to say that it is behind.
LONGEST_LAG_SECONDS = 60.0
WARNED_SECONDS = 5.0
RETRIES = 3
NOTES = 150
COUNTERS = 3


@dataclass(frozen=True)
class Acknowledged:
    """One document of a write, and the place that its acknowledgement named."""

    request_id: str
    source_id: str
    place: tuple[int, int]


@dataclass(frozen=True)
class Looked:
    """
    A look-up's answer: which place it held the document at, as of `position`, with `least` asked for.

    `settled` is the newest position that was acknowledged LONGEST_LAG_SECONDS before.
    """

    source_id: str
    least: int
    settled: int
    at: float
    position: int
    place: tuple[int, int] | None
    content_hash: str


@dataclass(frozen=True)
class Searched:
    """An exact search by a document's own text, at the document's position or later where `least` says so."""

    source_id: str
    least: int
    settled: int
    at: float
    written: int
    position: int
    found: bool


@dataclass(frozen=True)
class Claimed:
    """A status answer that called the fleet whole: its head, with the newest position acknowledged before it."""

    head: int
    acknowledged: int


@dataclass
class Notes:
    """All that the clients saw. Lists are appended to by several threads."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    searched: list[Searched] = field(default_factory=list)
    claimed: list[Claimed] = field(default_factory=list)
    counted: list[Acknowledged] = field(default_factory=list)
    heads: list[tuple[float, int]] = field(default_factory=list)
    warned: list[float] = field(default_factory=list)
    repeated: int = 0
    refused: int = 0

    @property
    def position(self) -> int:
        """The newest position that an acknowledgement named."""
        return self.heads[-1][1] if self.heads else 0

    def acknowledge(self, places: list[Acknowledged]) -> None:
        """Note what a write was answered."""
        self.acknowledged += places
        head = max(self.position, *(one.place[0] for one in places))
        self.heads.append((time.monotonic(), head))

    def was_warned(self, at: float) -> bool:
        """Say whether the fleet said at about that time that it is not whole, or said nothing."""
        first = bisect_right(self.warned, at - WARNED_SECONDS)
        return first < len(self.warned) and self.warned[first] <= at + WARNED_SECONDS

    def settled(self) -> int:
        """The newest position that was acknowledged LONGEST_LAG_SECONDS ago; 0 before there was one."""
        until = time.monotonic() - LONGEST_LAG_SECONDS
        at = bisect_right(self.heads, until, key=lambda one: one[0])
        return self.heads[at - 1][1] if at else 0


class Workload:
    """The client threads of one schedule. All randomness comes from `seed`."""

    def __init__(self, endpoint: str, seed: int) -> None:
        self.notes = Notes()
        self._endpoint = endpoint
        self._seed = seed
        self._ended = threading.Event()
        self._texts: dict[str, tuple[str, int]] = {}

    @contextmanager
    def running(self) -> Iterator[Notes]:
        """Keep every client at work for the block."""
        roles = [self._write, self._write, self._count, self._count, self._look_up, self._search, self._watch]
        threads = [threading.Thread(target=self._loop, args=(role, n)) for n, role in enumerate(roles)]
        for thread in threads:
            thread.start()
        try:
            yield self.notes
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _loop(self, role: Callable[[Client, random.Random, int], None], number: int) -> None:
        client = Client(self._endpoint, timeout_seconds=TIMEOUT_SECONDS)
        chance = random.Random(f"{self._seed} {number}")
        while not self._ended.wait(PAUSE_SECONDS):
            try:
                role(client, chance, number)
            except (ServiceError, Unanswered):
                self.notes.refused += 1

    def _write(self, client: Client, chance: random.Random, number: int) -> None:
        """Write, rewrite or delete up to three documents that no other writer touches."""
        batch = [
            self._note(f"hostile/{number}/{one}", chance) for one in chance.sample(range(NOTES), chance.randint(1, 3))
        ]
        self._send(client, batch)

    def _note(self, source_id: str, chance: random.Random) -> dict[str, Any]:
        request = {"source_id": source_id, "request_id": uuid4().hex}
        if chance.random() < 0.15:
            return request | {"delete": True}
        text = f"{' '.join(chance.sample(WORDS, 8))} {uuid4().hex[:8]}"
        return request | {"title": source_id, "text": text}

    def _send(self, client: Client, batch: list[dict[str, Any]]) -> list[Acknowledged]:
        """Send a write, and the very same again while its outcome is unknown."""
        for document in batch:
            self._texts.pop(document["source_id"], None)
        answer = self._insist(client, batch)
        places = [
            Acknowledged(one["request_id"], one["source_id"], (one.get("position", answer["position"]), one["item"]))
            for one in answer["results"]
        ]
        self.notes.acknowledge(places)
        for document, where in zip(batch, places, strict=True):
            if "text" in document and "if_position" not in document:
                self._texts[document["source_id"]] = (f"{document['title']}. {document['text']}", where.place[0])
        return places

    def _insist(self, client: Client, batch: list[dict[str, Any]]) -> dict[str, Any]:
        for attempt in range(RETRIES + 1):
            try:
                return client.write(batch)
            except (ServiceError, Unanswered):
                if attempt == RETRIES or self._ended.wait(0.2):
                    raise
                self.notes.repeated += 1
        raise AssertionError("the last attempt raises or returns")

    def _count(self, client: Client, chance: random.Random, number: int) -> None:
        """Add one to a counter that others add to as well, on the condition that nobody was faster."""
        counter = f"hostile/counter/{chance.randrange(COUNTERS)}"
        try:
            held = client.document(counter)
        except ServiceError as error:
            if error.status != 404:
                raise
            held = {"position": 0, "text": "0"}
        text = str(int(held["text"]) + 1)
        document = {"source_id": counter, "title": counter, "text": text, "if_position": held["position"]}
        [mine] = self._send(client, [document | {"request_id": uuid4().hex}])
        found = client.lookup([counter], mine.place[0])["documents"][counter]
        if found is not None and (found["position"], found["item"]) == mine.place:
            self.notes.counted.append(mine)

    def _look_up(self, client: Client, chance: random.Random, _: int) -> None:
        written = self.notes.acknowledged[-400:]
        if not written:
            return
        least = self.notes.position if chance.random() < 0.5 else 0
        names = sorted({chance.choice(written).source_id for _ in range(20)})
        settled, at = self.notes.settled(), time.monotonic()
        answer = client.lookup(names, least or None)
        for name, held in answer["documents"].items():
            place = None if held is None else (held["position"], held["item"])
            self.notes.looked.append(
                Looked(
                    name, least, settled, at, answer["position"], place, "" if held is None else held["content_hash"]
                )
            )

    def _search(self, client: Client, chance: random.Random, _: int) -> None:
        texts = list(self._texts.items())
        if not texts:
            return
        source_id, (text, written) = chance.choice(texts)
        least = written if chance.random() < 0.5 else 0
        settled, at = self.notes.settled(), time.monotonic()
        answer = client.search(text=text, k=5, exact=True, min_position=least or None)
        if not answer["partial"]:
            found = any(hit["source_id"] == source_id for hit in answer["hits"])
            self.notes.searched.append(Searched(source_id, least, settled, at, written, answer["position"], found))

    def _watch(self, client: Client, _: random.Random, __: int) -> None:
        """Note each time that the fleet calls itself whole, and each that it does not call its shards current."""
        acknowledged = self.notes.position
        try:
            status = client.status()
        except (ServiceError, Unanswered):
            self.notes.warned.append(time.monotonic())
            raise
        if whole(status):
            self.notes.claimed.append(Claimed(status["head"], acknowledged))
        if status["head_fault"] or any(shard["lag"]["state"] != "current" for shard in status["shards"]):
            self.notes.warned.append(time.monotonic())
        self._ended.wait(0.3)


def whole(status: dict[str, Any]) -> bool:
    """Return True if every shard has ready replicas and reflects the head, and none has stopped."""
    return not status["head_fault"] and all(
        shard["replicas"]
        and shard["lag"]["state"] == "current"
        and shard["lag"]["positions"] == 0
        and all(one["ready"] and not one["stale"] for one in shard["replicas"])
        for shard in status["shards"]
    )


def await_whole(client: Client, replicas: int, seconds: float) -> dict[str, Any]:
    """Poll until the fleet is whole with this number of replicas of each shard; return the last status."""
    until, status = time.monotonic() + seconds, dict[str, Any]()
    while time.monotonic() < until:
        try:
            status = client.status()
            if whole(status) and all(len(shard["replicas"]) == replicas for shard in status["shards"]):
                return status
        except (ServiceError, Unanswered) as error:
            status = {"unanswered": str(error)}
        time.sleep(0.25)
    return status
