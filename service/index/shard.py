"""A shard's index: base, segments and delta together, folded from records, answering with one hit per document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from service.index.base import Base
from service.index.delta import Delta
from service.index.part import Part, Vectors
from service.index.rows import digest_text, record_digest
from service.storage.shards import Record

# Scanning this many rows costs about what walking a graph of them does ten times.
DELTA_ROWS = 10_000
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
    """What the shard holds of a document: where it was written, its content hash, and its rows in one of the parts."""

    position: int
    item: int
    content_hash: bytes
    part: Part
    rows: range
    digest: int


class Candidate(NamedTuple):
    """A row that may become a hit."""

    score: float
    part: Part
    row: int


class ShardIndex:
    """
    Apply records in log order; search at any time between two of them. Not for use by several threads.

    A delta that has reached `delta_rows` is frozen and a new one begun. Frozen ones are scanned like the delta,
    until somebody has built a graph of one and puts it in its place.
    """

    def __init__(self, base: Base | None, dims: int, delta_rows: int = DELTA_ROWS) -> None:
        self.base = base
        self.segments: list[Base | Delta] = []
        self.delta = Delta(dims)
        self._dims = dims
        self._limit = delta_rows
        self._held: dict[str, Held] = {}
        self._digest = 0
        self._rows = 0
        if base is not None:
            self._hold_base(base)

    def _hold_base(self, base: Base) -> None:
        first = 0
        for record in base.rows.records():
            self._hold(record, base, range(first, first + len(record.chunks)))
            first += len(record.chunks)

    def _hold(self, record: Record, part: Part, rows: range) -> None:
        digest = record_digest(record)
        self._digest += digest
        self._rows += len(rows)
        self._held[record.source_id] = Held(record.position, record.item, record.content_hash, part, rows, digest)

    @property
    def documents(self) -> int:
        """Live documents."""
        return len(self._held)

    @property
    def rows(self) -> int:
        """Live chunks."""
        return self._rows

    @property
    def delta_rows(self) -> int:
        """Chunks written since the base, those in segments included."""
        return len(self.delta) + sum(map(len, self.segments))

    @property
    def changed_rows(self) -> int:
        """Rows written since the base and its dead ones: what the next base would be rid of."""
        return self.delta_rows + (self.base.dead_rows if self.base is not None else 0)

    @property
    def frozen(self) -> list[Delta]:
        """The frozen deltas, oldest first."""
        return [segment for segment in self.segments if isinstance(segment, Delta)]

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
            self._hold(record, self.delta, self.delta.add(record))
        if len(self.delta) >= self._limit:
            self.segments.append(self.delta)
            self.delta = Delta(self._dims)

    def _drop(self, source_id: str) -> None:
        held = self._held.pop(source_id, None)
        if held is None:
            return
        self._digest -= held.digest
        self._rows -= len(held.rows)
        held.part.kill(held.rows)

    def seal(self, frozen: Delta, records: Sequence[Record], segment: Base) -> None:
        """Answer from `segment` instead of a frozen delta. It was built from `records`, which the delta held then."""
        first = 0
        for record in records:
            rows = range(first, first + len(record.chunks))
            first = rows.stop
            held = self._held.get(record.source_id)
            if held is None or held.part is not frozen:
                # Replaced or deleted while the graph was being built.
                segment.kill(rows)
            else:
                self._held[record.source_id] = msgspec.structs.replace(held, part=segment, rows=rows)
        self.segments[self.segments.index(frozen)] = segment

    def search(self, vector: Vectors, k: int, *, exact: bool = False) -> list[Hit]:
        """
        The k nearest documents to the normalised `vector` (dims,), best first; fewer when fewer are live.

        Chunks of one document compete and dead rows stay in the graphs, so more rows than k are fetched, and more
        again until k documents stand above everything that was not looked at.
        """
        k = min(k, self.documents)
        count = k * OVERFETCH
        all_rows = sum(map(len, self._parts))
        while True:
            hits = self._merge(self._candidates(vector, count, exact=exact), k)
            if len(hits) >= k:
                return hits
            # A graph may not reach every row; exact search over all of them holds every document.
            exact = exact or count >= all_rows
            count *= 4

    def similarity(self, source_id: str, vector: Vectors) -> float:
        """A document's score by its own rows, whatever a graph says of it; -inf when it isn't there."""
        held = self._held.get(source_id)
        if held is None:
            return -np.inf
        return float((held.part.vectors_of(held.rows) @ vector).max())

    @property
    def _parts(self) -> list[Part]:
        based: list[Part] = [self.base] if self.base is not None else []
        return [*based, *self.segments, self.delta]

    def _candidates(self, vector: Vectors, count: int, *, exact: bool) -> list[Candidate]:
        """Best first, down to where a part may hold more than it gave."""
        parts = self._parts
        near = [(part.search_exactly if exact else part.search)(vector, count) for part in parts]
        floor = max(one.floor for one in near)
        found = [
            Candidate(float(score), part, int(row))
            for part, one in zip(parts, near, strict=True)
            for row, score in zip(one.rows, one.scores, strict=True)
            if score >= floor
        ]
        return sorted(found, key=lambda candidate: -candidate.score)

    def _merge(self, candidates: Iterable[Candidate], k: int) -> list[Hit]:
        best: dict[str, Hit] = {}
        for hit in self._hits(candidates):
            if len(best) == k:
                break
            best.setdefault(hit.source_id, hit)
        return list(best.values())

    def _hits(self, candidates: Iterable[Candidate]) -> Iterator[Hit]:
        for score, part, row in candidates:
            yield Hit(*part.passage(row), round(score, 6))


def canary_recall(index: ShardIndex) -> float:
    """
    Recall of the index's graph against exact search, for queries near its own rows; 1.0 without a graph.

    A hit is right when it is as near as the last of the exact ones: of documents with one text any may be found.
    The queries are the same for the same base: evenly chosen rows, each moved a little off its place.
    """
    if index.base is None or not len(index.base):
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
