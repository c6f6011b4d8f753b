"""The documents log without its duplicates: of one request_id in a collection only the first write counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from service.storage.collections import salt_of
from service.storage.documents import Document, Written

REQUEST_HASH_BYTES = 16


class FirstWrites(NamedTuple):
    """Documents whose request_id is new, and the hashes of those ids."""

    documents: list[Written]
    hashes: set[bytes]


class Seen:
    """
    The request ids of every indexed document, as 16-byte hashes that differ by collection.

    A retry that arrives after newer writes of its document must not undo them, so no id is ever forgotten:
    the set is rebuilt from the documents log when an indexer starts.
    """

    def __init__(self) -> None:
        self._hashes: set[bytes] = set()

    def first_writes(self, documents: Iterable[Written]) -> FirstWrites:
        """Those that count. They are not remembered before `remember`: a step that fails is done again."""
        fresh = FirstWrites([], set())
        for written in documents:
            digest = _hash(written.document)
            if digest not in self._hashes and digest not in fresh.hashes:
                fresh.hashes.add(digest)
                fresh.documents.append(written)
        return fresh

    def remember(self, first_writes: FirstWrites) -> None:
        """Take these ids for seen from now on."""
        self._hashes |= first_writes.hashes


def _hash(document: Document) -> bytes:
    # One source's ids for another collection, or a namesake of one that was dropped, are no repetitions.
    salt = salt_of(document.collection)
    return hashlib.blake2b(document.request_id.encode(), digest_size=REQUEST_HASH_BYTES, salt=salt).digest()
