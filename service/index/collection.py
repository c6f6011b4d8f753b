"""A collection's rows in one shard: base, segments and delta, folded from records, one hit per document."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from service.index import search_plan
from service.index.base import Base
from service.index.delta import Delta
from service.index.filters import Filter
from service.index.metric import Metric
from service.index.part import Nearest, Part, Vectors, best_rows
from service.index.rows import document_digest
from service.index.search_plan import Job, Walk
from service.storage.collections import DEFAULT_ID
from service.storage.metadata import from_text
from service.storage.shards import Record
from service.wire.messages import Hit

# Scanning this many rows costs about ten times as much as a graph walk over them.
DELTA_ROWS = 10_000
LOOKED_AT = 20  # rows for each document of an exact answer: many chunks of one document may lie near a query


class HeldDocument(NamedTuple):
    """The place where a document was written, its content hash, and its rows in one of the parts."""

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


class CollectionIndex:
    """One collection of a shard. Apply records in log order, and search between any two of them in the same thread.

    Only the jobs of `search_with` may run in other threads. A delta of `delta_rows` is frozen and a new one begun.
    Frozen deltas are scanned like the delta until `seal` puts a graph in their place.
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
        """Compute the base's digest term from its documents, unless a trusted `digest_term` is given."""
        self.base, self.metric, self.collection = base, metric, collection
        self.dims = dims
        self.segments: list[Base | Delta] = []
        self.delta = Delta(dims, metric)
        self._limit = delta_rows
        # Documents written since the base. _based has the numbers of the base's documents that still count.
        self._written: dict[str, HeldDocument] = {}
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
        """Rows in memory, dead ones included."""
        return self.base_rows + self.delta_rows

    @property
    def changed_rows(self) -> int:
        """Rows written since the base and the base's dead rows: the next base has neither."""
        return self.delta_rows + (self.base.dead_rows if self.base is not None else 0)

    @property
    def frozen(self) -> list[Delta]:
        """The frozen deltas, oldest first."""
        return [segment for segment in self.segments if isinstance(segment, Delta)]

    @property
    def digest_term(self) -> int:
        """The collection's share of the shard's order-free digest."""
        return self._digest

    def folded_digest_term(self) -> int:
        """Compute the digest term from every live document."""
        return sum(self._digest_of(source_id, held) for source_id, held in self._all())

    def _digest_of(self, source_id: str, held: HeldDocument) -> int:
        return document_digest(source_id, held.content_hash, self.collection)

    def _all(self) -> Iterator[tuple[str, HeldDocument]]:
        yield from self._written.items()
        for source_id, number in self._based.items():
            yield source_id, self._in_base(source_id, number)

    def _in_base(self, source_id: str, number: int) -> HeldDocument:
        assert self.base is not None
        _, position, item, content_hash, rows = self.base.documents.document(source_id, number)
        return HeldDocument(position, item, content_hash, self.base, rows)

    def held(self, source_id: str) -> HeldDocument | None:
        """Return a live document; None if there is none of this id."""
        number = self._based.get(source_id)
        return self._written.get(source_id) if number is None else self._in_base(source_id, number)

    def apply(self, record: Record) -> None:
        """Replace a document by the record's chunks, or delete it if there are none."""
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
        held = HeldDocument(record.position, record.item, record.content_hash, self.delta, rows)
        self._written[record.source_id] = held
        self._digest += self._digest_of(record.source_id, held)
        self._rows += len(rows)

    def _drop(self, source_id: str, held: HeldDocument) -> None:
        del (self._based if held.part is self.base else self._written)[source_id]
        self._digest -= self._digest_of(source_id, held)
        self._rows -= len(held.rows)
        held.part.kill(held.rows)

    def seal(self, frozen: Delta, records: Sequence[Record], segment: Base) -> None:
        """Replace a frozen delta by `segment`, which was built from the `records` that the delta held then."""
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
        """Return what `search_with` does, with every job run at once in this thread."""
        try:
            self.search_with(_run, vector, k, exact=exact, wanted=wanted).send(None)
        except StopIteration as done:
            hits: list[Hit] = done.value
            return hits
        raise AssertionError("a search that runs its own jobs never waits")

    async def search_with(
        self, walk: Walk, vector: Vectors, k: int, *, exact: bool = False, wanted: Filter | None = None
    ) -> list[Hit]:
        """Return the k nearest documents to `vector` (dims,), which the metric has prepared, best first.

        There are fewer when fewer are live and `wanted`. Chunks of one document compete, and dead rows stay in graphs.
        So more rows than k are fetched, and more again, until k documents stand above every row that was not looked at.

        The answer includes records applied while `walk` ran a job: dead rows are left out and the delta is searched
        afterwards. A step is repeated if the parts have changed by then.
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
            few = wanted is not None and search_plan.is_exact_cheaper(left, all_rows)
            exact = exact or few
            fetched = left if wanted else all_rows
            count = wider * (left if few else search_plan.rows_to_fetch(min(k, self.documents), fetched, all_rows))
            near = await walk(search_plan.job_of(still, vector, count, among, exact=exact))
            if still != self._still:
                continue
            near.append(self.delta.search(vector, count, self.delta.matching(wanted)))
            hits = self._merge(_candidates([*still, self.delta], near), k)
            left_out = any(one.floor > -math.inf for one in near)
            if len(hits) >= min(k, self.documents) or (exact and not left_out):
                return hits
            # A graph may not reach every row; exact search over all of them holds every document.
            exact = exact or count >= (all_rows if wanted is None else search_plan.FEW_ROWS)
            wider *= 4

    def exact_later(self, vector: Vectors, k: int, wanted: Filter | None = None) -> Callable[[], list[float]]:
        """Return a function that computes the scores of the k nearest documents as of now.

        It may run in any thread, whatever is applied meanwhile.
        """
        parts = [(part, part.vectors_of(range(len(part))), part.matching(wanted).copy()) for part in self._parts]

        def scores() -> list[float]:
            near = [(part, best_rows(rows, mask, vector, k * LOOKED_AT, self.metric)) for part, rows, mask in parts]
            return best_documents(near, k)

        return scores

    def similarity(self, source_id: str, vector: Vectors) -> float:
        """Return a document's score by its own rows, whatever a graph says; -inf if there is none of this id."""
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
            # The id comes first: a document may have thousands of chunks, and only its best one is read.
            source_id = part.source_of(row)
            if source_id not in best:
                title, text, metadata = part.passage(row)
                best[source_id] = Hit(source_id, title, text, float(f"{score:.7g}"), from_text(metadata))
        return list(best.values())


async def _run(job: Job) -> list[Nearest]:
    return job.run()


def best_documents(near: Iterable[tuple[Part, Nearest]], k: int) -> list[float]:
    """Return the scores of the k best documents among rows of several parts, best first."""
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
    """Yield the live rows, best first, down to the score below which a part may hold more than it returned."""
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
