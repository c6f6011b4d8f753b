"""Searches and writes of the observer: beacons with a known answer, and numbered documents.

Their words lie far from any technical text, so that canaries don't appear among real answers.
"""

from __future__ import annotations

import hashlib
import random
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PREFIX = "vectorfleet/canary"
BEACON_WORDS = 14
NOTE_WORDS = 8
UPSERT_SHARE = 0.2
DELETE_SHARE = 0.1

_WORDS = Path(__file__).with_name("canary_words.txt").read_text(encoding="utf-8").split()

Kind = Literal["upsert", "delete"]


@dataclass(frozen=True)
class Beacon:
    """A document that must be the first hit of a search for its own text."""

    source_id: str
    title: str
    text: str


@dataclass(frozen=True)
class Write:
    """One write of the observer; `document` is sent to the service."""

    kind: Kind
    source_id: str
    document: dict[str, Any]
    content_hash: str | None


def content_hash(title: str, text: str) -> str:
    """Return the service's hash of a document's content: sha256 of title, a zero byte, text."""
    return hashlib.sha256(title.encode() + b"\0" + text.encode()).hexdigest()


def beacons(ledger: str, count: int) -> list[Beacon]:
    """Return the beacons of one ledger; another ledger has other words, so that two observers can run."""
    chance = random.Random(f"beacons {ledger}")
    return [
        Beacon(f"{PREFIX}/{ledger}/beacon/{number}", "Beacon", " ".join(chance.sample(_WORDS, BEACON_WORDS)))
        for number in range(count)
    ]


def upsert(source_id: str, title: str, text: str, request_id: str) -> Write:
    document = {"source_id": source_id, "title": title, "text": text, "request_id": request_id}
    return Write("upsert", source_id, document, content_hash(title, text))


def delete(source_id: str, request_id: str) -> Write:
    return Write("delete", source_id, {"source_id": source_id, "delete": True, "request_id": request_id}, None)


class WritePlan:
    """A plan of writes: mostly new documents, at times a new version or a delete of an old one.

    Only a document whose last write is settled is written again: after an unknown outcome, a later acknowledged one
    could not be judged. Safe to use from several threads.
    """

    def __init__(self, ledger: str) -> None:
        self._ledger = ledger
        self._chance = random.Random(f"writes {ledger}")
        self._lock = threading.Lock()
        self._settled: list[str] = []
        self._written = 0

    def next(self) -> Write:
        with self._lock:
            self._written += 1
            number = self._written
            draw = self._chance.random()
            if not self._settled or draw >= UPSERT_SHARE + DELETE_SHARE:
                return self._upsert(number, f"{PREFIX}/{self._ledger}/note/{number}")
            source_id = self._settled.pop(self._chance.randrange(len(self._settled)))
            if draw < DELETE_SHARE:
                return delete(source_id, self._request_id(number))
            return self._upsert(number, source_id)

    def settled(self, write: Write) -> None:
        """Allow another write of a document whose write was acknowledged, unless it was deleted."""
        if write.kind == "upsert":
            with self._lock:
                self._settled.append(write.source_id)

    def _upsert(self, number: int, source_id: str) -> Write:
        words = " ".join(self._chance.sample(_WORDS, NOTE_WORDS))
        return upsert(source_id, f"Note {number}", f"{words} {number}", self._request_id(number))

    def _request_id(self, number: int) -> str:
        return f"{self._ledger}-{number}"
