"""A collection's rows in one shard: base, segments and delta together, folded from records, one hit per document."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np

from service.index.base import Base
from service.index.delta import Delta
from service.index.filters import Filter, Mask
from service.index.metric import Metric
from service.index.part import Nearest, Part, Vectors, best_rows
from service.index.rows import document_digest
from service.storage.collections import DEFAULT_ID
from service.storage.metadata import Value, from_text
from service.storage.shards import Record

# Scanning this many rows costs about what walking a graph of them does ten times.
DELTA_ROWS = 10_000
OVERFETCH = 3
LOOKED_AT = 20  # rows for each document of an exact answer, which may have many chunks near a query
# Exact search over so many rows takes about what a walk through a graph takes that finds them among others.
FEW_ROWS = 10_000
# A walk that is to meet them among `all` rows looks at about WALKED × all / few of them: with fewer than
# √(WALKED × all) rows left it is cheaper to look at just those.
WALKED = 300


class Hit(msgspec.Struct, frozen=True):
    """A document found: the text is that of its best chunk, the score that of the metric, greater where nearer."""

    source_id: str
    title: str
    text: str
    score: float
    metadata: dict[str, Value] = {}


class Held(NamedTuple):
    """What is held of a document: where it was written, its content hash, and its rows in one of the parts."""

    position: int
    item: int
    content_hash: bytes
    part: Part
    rows: range


class Candidate(NamedTuple):
    """A row that may become a hit."""

    score: float
    part: Part
    row: int


class Job(NamedTuple):
    """
    A part of a search that reads only what stands: it may run in any thread, whatever is applied meanwhile.

    `heavy` ones look at so many rows that other searches should not have to wait.
    """

    run: Callable[[], list[Nearest]]
    heavy: bool


Steps = Generator[Job, list[Nearest], list[Hit]]


class CollectionIndex:
    """
    Apply records in log order; search at any time between two of them, in the same thread except for the jobs of
    `searching`.

    A delta that has reached `delta_rows` is frozen and a new one begun. Frozen ones are scanned like the delta,
    until somebody has built a graph of one and puts it in its place.
    """

    def __init__(
        self,
        base: Base | None,
        dims: int,
        metric: Metric,
        *,
        collection: int = DEFAULT_ID,
        digest_term: int | None = None,
        delta_rows: int = DELTA_ROWS,
    ) -> None:
        """A base's `digest_term` is worked out from its documents unless somebody vouches for it."""
        self.base, self.metric, self.collection = base, metric, collection
        self.dims = dims
        self.segments: list[Base | Delta] = []
        self.delta = Delta(dims, metric)
        self._limit = delta_rows
        # Documents written since the base; the base's own that still stand have their numbers there.
        self._written: dict[str, Held] = {}
        self._based = base.documents.numbers if base is not None else {}
        self._rows = self.base_rows
        self._digest = self.folded_digest_term() if digest_term is None else digest_term

    @property
    def documents(self) -> int:
        """Live documents."""
        return len(self._based) + len(self._written)

    @property
    def rows(self) -> int:
        """Live chunks."""
        return self._rows

    @property
    def delta_rows(self) -> int:
        """Chunks written since the base, those in segments included."""
        return len(self.delta) + sum(map(len, self.segments))

    @property
    def base_rows(self) -> int:
        """Rows of the base, dead ones included."""
        return len(self.base) if self.base is not None else 0

    @property
    def kept_rows(self) -> int:
        """Rows that are in memory, dead ones included."""
        return self.base_rows + self.delta_rows

    @property
    def changed_rows(self) -> int:
        """Rows written since the base and its dead ones: what the next base would be rid of."""
        return self.delta_rows + (self.base.dead_rows if self.base is not None else 0)

    @property
    def frozen(self) -> list[Delta]:
        """The frozen deltas, oldest first."""
        return [segment for segment in self.segments if isinstance(segment, Delta)]

    @property
    def digest_term(self) -> int:
        """Its share of the order-free digest of the shard: equal sets have equal ones on every path to them."""
        return self._digest

    def folded_digest_term(self) -> int:
        """The same, worked out from every document that is held."""
        return sum(self._digest_of(source_id, held) for source_id, held in self._all())

    def _digest_of(self, source_id: str, held: Held) -> int:
        return document_digest(source_id, held.content_hash, len(held.rows), self.collection)

    def _all(self) -> Iterator[tuple[str, Held]]:
        yield from self._written.items()
        for source_id, number in self._based.items():
            yield source_id, self._in_base(source_id, number)

    def _in_base(self, source_id: str, number: int) -> Held:
        assert self.base is not None
        _, position, item, content_hash, rows = self.base.documents.stored(source_id, number)
        return Held(position, item, content_hash, self.base, rows)

    def held(self, source_id: str) -> Held | None:
        """What is held of a document, None when it isn't there."""
        number = self._based.get(source_id)
        return self._written.get(source_id) if number is None else self._in_base(source_id, number)

    def apply(self, record: Record) -> None:
        """Replace a document by the record's chunks; none deletes it, and one that does not count changes nothing."""
        held = self.held(record.source_id)
        if not record.counts(0 if held is None else held.position):
            return
        if held is not None:
            self._drop(record.source_id, held)
        if record.chunks:
            self._hold(record, self.delta.add(record))
        if len(self.delta) >= self._limit:
            self.segments.append(self.delta)
            self.delta = Delta(self.dims, self.metric)

    def _hold(self, record: Record, rows: range) -> None:
        held = Held(record.position, record.item, record.content_hash, self.delta, rows)
        self._written[record.source_id] = held
        self._digest += self._digest_of(record.source_id, held)
        self._rows += len(rows)

    def _drop(self, source_id: str, held: Held) -> None:
        del (self._based if held.part is self.base else self._written)[source_id]
        self._digest -= self._digest_of(source_id, held)
        self._rows -= len(held.rows)
        held.part.kill(held.rows)

    def seal(self, frozen: Delta, records: Sequence[Record], segment: Base) -> None:
        """Answer from `segment` instead of a frozen delta. It was built from `records`, which the delta held then."""
        first = 0
        for record in records:
            rows = range(first, first + len(record.chunks))
            first = rows.stop
            held = self._written.get(record.source_id)
            if held is None or held.part is not frozen:
                # Replaced or deleted while the graph was being built.
                segment.kill(rows)
            else:
                self._written[record.source_id] = held._replace(part=segment, rows=rows)
        self.segments[self.segments.index(frozen)] = segment

    def search(self, vector: Vectors, k: int, *, exact: bool = False, wanted: Filter | None = None) -> list[Hit]:
        """
        The k nearest documents to `vector` (dims,), which the metric has prepared, best first; fewer when fewer are
        live and `wanted`.

        Chunks of one document compete and dead rows stay in the graphs, so more rows than k are fetched, and more
        again until k documents stand above everything that was not looked at. Where a filter leaves few rows all of
        those are looked at.
        """
        steps = self.searching(vector, k, exact=exact, wanted=wanted)
        try:
            job = next(steps)
            while True:
                job = steps.send(job.run())
        except StopIteration as done:
            hits: list[Hit] = done.value
            return hits

    def searching(self, vector: Vectors, k: int, *, exact: bool = False, wanted: Filter | None = None) -> Steps:
        """
        The steps of `search`: whoever runs them sends in what each job returns.

        What was applied while a job ran is in the answer: dead rows are left out after it, the delta is searched then,
        and where the parts are others by then the step is made again.
        """
        wider = 1
        while True:
            still = self._still
            among = [part.matching(wanted) for part in still]
            left = self._rows
            if wanted is not None:
                left = sum(int(mask.sum()) for mask in [*among, self.delta.matching(wanted)])
            if not k or not left:
                return []
            all_rows = sum(map(len, still)) + len(self.delta)
            few = wanted is not None and left <= max(FEW_ROWS, math.isqrt(WALKED * all_rows))
            exact = exact or few
            found = min(k, self.documents)
            count = wider * (left if few else math.ceil(found * OVERFETCH * all_rows / (left if wanted else all_rows)))
            heavy = sum(len(part) for part in still if exact or _is_flat(part)) > FEW_ROWS
            near = yield Job(partial(_look, still, vector, count, among, exact=exact), heavy)
            if still != self._still:
                continue
            near.append(self.delta.search(vector, count, self.delta.matching(wanted)))
            hits = self._merge(_candidates([*still, self.delta], near), k)
            left_out = any(one.floor > -math.inf for one in near)
            if len(hits) >= min(k, self.documents) or (exact and not left_out):
                return hits
            # A graph may not reach every row; exact search over all of them holds every document.
            exact = exact or count >= (all_rows if wanted is None else FEW_ROWS)
            wider *= 4

    def exact_later(self, vector: Vectors, k: int, wanted: Filter | None = None) -> Callable[[], list[float]]:
        """
        What gives, in any thread and whatever is applied meanwhile, the scores of the k nearest documents as of now.
        """
        parts = [(part, part.vectors_of(range(len(part))), part.matching(wanted).copy()) for part in self._parts]

        def scores() -> list[float]:
            near = [(part, best_rows(rows, mask, vector, k * LOOKED_AT, self.metric)) for part, rows, mask in parts]
            return best_documents(near, k)

        return scores

    def similarity(self, source_id: str, vector: Vectors) -> float:
        """A document's score by its own rows, whatever a graph says of it; -inf when it isn't there."""
        held = self.held(source_id)
        if held is None:
            return -np.inf
        return float(self.metric.scores(held.part.vectors_of(held.rows), vector).max())

    @property
    def _still(self) -> list[Part]:
        """The parts that nothing is added to."""
        based: list[Part] = [self.base] if self.base is not None else []
        return [*based, *self.segments]

    @property
    def _parts(self) -> list[Part]:
        return [*self._still, self.delta]

    def _merge(self, candidates: Iterable[Candidate], k: int) -> list[Hit]:
        best: dict[str, Hit] = {}
        for score, part, row in candidates:
            if len(best) == k:
                break
            # Looked at first: a document may have thousands of chunks, and only its best one is read.
            source_id = part.source_of(row)
            if source_id not in best:
                title, text, metadata = part.passage(row)
                best[source_id] = Hit(source_id, title, text, float(f"{score:.7g}"), from_text(metadata))
        return list(best.values())


def _is_flat(part: Part) -> bool:
    return isinstance(part, Base) and part.flat


def _look(parts: Sequence[Part], vector: Vectors, count: int, among: Sequence[Mask], *, exact: bool) -> list[Nearest]:
    return [
        (part.search_exactly if exact else part.search)(vector, count, mask)
        for part, mask in zip(parts, among, strict=True)
    ]


def best_documents(near: Iterable[tuple[Part, Nearest]], k: int) -> list[float]:
    """The scores of the k best documents among rows of several parts, best first."""
    found = sorted(
        ((float(s), part, int(r)) for part, one in near for r, s in zip(one.rows, one.scores, strict=True)),
        key=lambda each: -each[0],
    )
    best: dict[str, float] = {}
    for score, part, row in found:
        best.setdefault(part.source_of(row), score)
        if len(best) == k:
            break
    return list(best.values())


def _candidates(parts: Sequence[Part], near: Sequence[Nearest]) -> Iterator[Candidate]:
    """The live rows, best first, down to where a part may hold more than it gave; made as they are asked for."""
    floor = max(one.floor for one in near)
    streams = [_stream(part, one) for part, one in zip(parts, near, strict=True) if len(one.rows)]
    best_first = streams[0] if len(streams) == 1 else heapq.merge(*streams, key=_descending)
    return itertools.takewhile(lambda candidate: candidate.score >= floor, best_first)


def _stream(part: Part, near: Nearest) -> Iterator[Candidate]:
    alive = part.matching(None)[near.rows].tolist()
    return (
        Candidate(score, part, row)
        for row, score, lives in zip(near.rows.tolist(), near.scores.tolist(), alive, strict=True)
        if lives
    )


def _descending(candidate: Candidate) -> float:
    return -candidate.score
