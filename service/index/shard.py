"""A shard's index: base and delta together, folded from records, answering with one hit per document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from service.index.base import NOTHING, Base, Nearest
from service.index.delta import Delta
from service.index.rows import digest_text, record_digest
from service.storage.shards import Record

Vectors = npt.NDArray[np.float32]
OVERFETCH = 3
CANARIES = 16
CANARY_K = 10
CANARY_NOISE = 0.02
CANARY_EPSILON = 1e-5
RECALL_FLOOR = 0.9


class Hit(msgspec.Struct, frozen=True):
    """A document found: the text is that of its best chunk, the score its cosine similarity."""

    source_id: str
    title: str
    text: str
    score: float


class Held(msgspec.Struct, frozen=True):
    """What the shard holds of a document: where it was written, its content hash and its rows."""

    position: int
    item: int
    content_hash: bytes
    rows: range
    in_base: bool
    digest: int


class ShardIndex:
    """Apply records in log order; search at any time between two of them. Not for use by several threads."""

    def __init__(self, base: Base | None, dims: int) -> None:
        self.base = base
        self.delta = Delta(dims)
        self._held: dict[str, Held] = {}
        self._digest = 0
        self._rows = 0
        if base is not None:
            self._hold_base(base)

    def _hold_base(self, base: Base) -> None:
        first = 0
        for record in base.rows.records():
            self._hold(record, range(first, first + len(record.chunks)), in_base=True)
            first += len(record.chunks)

    def _hold(self, record: Record, rows: range, *, in_base: bool) -> None:
        digest = record_digest(record)
        self._digest += digest
        self._rows += len(rows)
        self._held[record.source_id] = Held(record.position, record.item, record.content_hash, rows, in_base, digest)

    @property
    def documents(self) -> int:
        """Live documents."""
        return len(self._held)

    @property
    def rows(self) -> int:
        """Live chunks."""
        return self._rows

    @property
    def changed_rows(self) -> int:
        """Rows of the delta and dead rows of the base: what the next base would be rid of."""
        return len(self.delta) + (self.base.dead_rows if self.base is not None else 0)

    @property
    def digest(self) -> str:
        """The order-free digest of the live set: equal sets have equal digests on every path to them."""
        return digest_text(self._digest)

    def held(self, source_id: str) -> Held | None:
        """What is held of a document, None when it isn't there."""
        return self._held.get(source_id)

    def apply(self, record: Record) -> None:
        """Replace a document by the record's chunks; none deletes it, a rejected one changes nothing."""
        if record.rejected:
            return
        self._drop(record.source_id)
        if record.chunks:
            self._hold(record, self.delta.add(record), in_base=False)

    def _drop(self, source_id: str) -> None:
        held = self._held.pop(source_id, None)
        if held is None:
            return
        self._digest -= held.digest
        self._rows -= len(held.rows)
        if held.in_base and self.base is not None:
            self.base.live[held.rows.start : held.rows.stop] = False
        else:
            self.delta.kill(held.rows)

    def search(self, vector: Vectors, k: int, *, exact: bool = False) -> list[Hit]:
        """
        The k nearest documents to the normalised `vector` (dims,), best first; fewer when fewer are live.

        Chunks of one document compete and dead rows stay in the graph, so more rows than k are fetched, and more
        again until k documents stand above everything that was not looked at.
        """
        k = min(k, self.documents)
        count = k * OVERFETCH
        while True:
            hits = self._merge(self._candidates(vector, count, exact=exact), k)
            if len(hits) >= k:
                return hits
            # The graph may not reach every row; exact search over all of them holds every document.
            exact = exact or count >= self._all_rows
            count *= 4

    def similarity(self, source_id: str, vector: Vectors) -> float:
        """A document's score by its own rows, whatever the graph says of it; -inf when it isn't there."""
        held = self._held.get(source_id)
        if held is None:
            return -np.inf
        if held.in_base and self.base is not None:
            vectors = self.base.rows.vectors[held.rows.start : held.rows.stop]
        else:
            vectors = self.delta.owner(held.rows.start)[0].vectors
        return float((vectors @ vector).max())

    @property
    def _all_rows(self) -> int:
        return len(self.delta) + (len(self.base.live) if self.base is not None else 0)

    def _candidates(self, vector: Vectors, count: int, *, exact: bool) -> list[tuple[float, int, bool]]:
        """(score, row, in_base), best first, down to where base or delta may hold more than they gave."""
        fresh, based = self.delta.search(vector, count), NOTHING
        if self.base is not None:
            based = (self.base.search_exactly if exact else self.base.search)(vector, count)
        found = _ranked(fresh, in_base=False) + _ranked(based, in_base=True)
        floor = max(fresh.floor, based.floor)
        return sorted((one for one in found if one[0] >= floor), key=lambda candidate: -candidate[0])

    def _merge(self, candidates: Iterable[tuple[float, int, bool]], k: int) -> list[Hit]:
        best: dict[str, Hit] = {}
        for hit in self._hits(candidates):
            if len(best) == k:
                break
            best.setdefault(hit.source_id, hit)
        return list(best.values())

    def _hits(self, candidates: Iterable[tuple[float, int, bool]]) -> Iterator[Hit]:
        for score, row, in_base in candidates:
            if in_base and self.base is not None:
                table = self.base.rows.table
                source_id, title, text = (table[name][row].as_py() for name in ("source_id", "title", "text"))
            else:
                record, ordinal = self.delta.owner(row)
                source_id, title, text = record.source_id, record.title, record.chunks[ordinal]
            yield Hit(source_id, title, text, round(score, 6))


def _ranked(nearest: Nearest, *, in_base: bool) -> list[tuple[float, int, bool]]:
    return [(float(score), int(row), in_base) for row, score in zip(nearest.rows, nearest.scores, strict=True)]


def canary_recall(index: ShardIndex) -> float:
    """
    Recall of the index's graph against exact search, for queries near its own rows; 1.0 without a graph.

    A hit is right when it is as near as the last of the exact ones: of documents with one text any may be found.
    The queries are the same for the same base: evenly chosen rows, each moved a little off its place.
    """
    if index.base is None or not len(index.base.live):
        return 1.0
    found = wanted = 0
    for canary in _near(index.base.rows.vectors, CANARIES):
        exact = index.search(canary, CANARY_K, exact=True)
        wanted += len(exact)
        if exact:
            floor = exact[-1].score - CANARY_EPSILON
            found += sum(index.similarity(hit.source_id, canary) >= floor for hit in index.search(canary, CANARY_K))
    return found / wanted if wanted else 1.0


def _near(vectors: Vectors, count: int) -> Vectors:
    rows = np.linspace(0, len(vectors) - 1, min(count, len(vectors))).astype(np.int64)
    noise = np.random.default_rng(len(vectors)).normal(0, CANARY_NOISE, (len(rows), vectors.shape[1]))
    moved = vectors[rows] + noise.astype(np.float32)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)
