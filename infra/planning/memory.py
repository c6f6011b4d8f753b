"""Memory of a number of vectors: the formula and the measured model. Standard library only; instances carry it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from infra.facts.index_parameters import DEFAULTS, IndexType

FLOAT32_BYTES = 4
INDEX_FACTOR = 2  # the formula's allowance for the index; in effect room for a second generation
SAFETY_FACTOR = 1.5  # growth between two resizes

# Bytes of one row besides its vector and its own links, from hnswlib 0.8's source and within 2 % of measured RSS.
LABEL_BYTES = 8
LIST_HEAD_BYTES = 8 + 4 + 40  # pointer to the upper levels, level number, mutex
LABEL_MAP_BYTES = 48  # node and bucket of the hash map from label to row
# FAISS holds, by its documentation, an id per row of an inverted list, one byte per subquantizer, and the centroids of
# lists and codes. It recommends at least 4 √n lists, and needs at least 39 rows to train a list.
LIST_ID_BYTES = 8
LISTS_PER_ROOT = 4
ROWS_PER_LIST = 39
CODES = 256
BYTES_PER_CHARACTER = 1.1  # English text in UTF-8 with the odd wider character
ROW_TEXT_OVERHEAD_BYTES = 160  # source_id, title, position and Arrow offsets beside a chunk's text
PROCESS_BYTES = 400 * 2**20  # interpreter, numpy, pyarrow and the embedding tables of one node
DELTA_ROWS = 10_000  # rows kept outside the base before they are sealed
# The next base is built when this share of the base's rows was written since, or this many log entries.
WRITTEN_SHARE = 0.25
LOG_ENTRIES = 1_000
ENTRIES_SHARE = 0.0025  # of the base's rows; the larger limit holds

GENERATIONS = 2  # the serving one and the one that is built beside it
AGREEMENT = 0.1  # formula and model that differ by less agree


@dataclass(frozen=True)
class Ram:
    """The three steps of the formula, in bytes for one copy of the whole collection."""

    floor_bytes: int
    index_bytes: int
    recommended_bytes: int


@dataclass(frozen=True)
class Term:
    """One part of the measured model."""

    name: str
    meaning: str
    bytes: int


@dataclass(frozen=True)
class Rows:
    """
    Vectors and the index over them. `m` belongs to HNSW, `lists` to IVF and PQ (0 for a number that fits the rows), and
    `code_dims` are the dimensions that PQ puts into a byte.
    """

    vectors: int
    dims: int
    index: IndexType = "hnsw"
    m: int = DEFAULTS["m"]
    lists: int = DEFAULTS["lists"]
    code_dims: int = DEFAULTS["code_dims"]


def ram(*, vectors: int, dims: int) -> Ram:
    """
    Return floor (raw float32 vectors), index (× 2) and recommended (× 1.5) memory.

    >>> ram(vectors=1_000_000, dims=1536)
    Ram(floor_bytes=6144000000, index_bytes=12288000000, recommended_bytes=18432000000)
    """
    floor_bytes = vectors * dims * FLOAT32_BYTES
    index_bytes = floor_bytes * INDEX_FACTOR
    return Ram(floor_bytes, index_bytes, math.ceil(index_bytes * SAFETY_FACTOR))


def links_bytes(m: int) -> float:
    """
    Return the mean bytes of graph links per vector for hnswlib's M: 2M at level 0, M at each level above.

    >>> round(links_bytes(16), 1)
    137.6
    """
    level_zero = 2 * m * 4 + 4
    upper_levels = (4 * m + 4 + 16) / (m - 1)
    return level_zero + upper_levels


def index_terms(rows: Rows) -> tuple[Term, ...]:
    """
    Return the parts of one generation of the index.

    >>> [term.name for term in index_terms(Rows(100_000, 384))]
    ['vectors', 'links', 'labels', 'id map']
    """
    return _TERMS[rows.index](rows)


def index_bytes(rows: Rows) -> int:
    """
    Return the bytes of one generation of the index.

    >>> round(index_bytes(Rows(100_000, 384)) / (100_000 * 384 * 4), 2)
    1.16
    """
    return total_bytes(index_terms(rows))


def _vectors(rows: Rows) -> Term:
    return Term("vectors", "float32 rows", rows.vectors * rows.dims * FLOAT32_BYTES)


def _flat(rows: Rows) -> tuple[Term, ...]:
    return (_vectors(rows),)


def _hnsw(rows: Rows) -> tuple[Term, ...]:
    return (
        _vectors(rows),
        Term("links", f"graph links, M = {rows.m}", math.ceil(rows.vectors * links_bytes(rows.m))),
        Term("labels", "labels and list heads", rows.vectors * (LABEL_BYTES + LIST_HEAD_BYTES)),
        Term("id map", "from label to row", rows.vectors * LABEL_MAP_BYTES),
    )


def _ivf(rows: Rows) -> tuple[Term, ...]:
    return (_vectors(rows), *_lists(rows))


def _pq(rows: Rows) -> tuple[Term, ...]:
    codes = codes_of(rows)
    return (
        Term("codes", f"{codes:,} bytes a row", rows.vectors * codes),
        Term("codebooks", f"{CODES} centroids per subvector", CODES * rows.dims * FLOAT32_BYTES),
        *_lists(rows),
    )


def codes_of(rows: Rows) -> int:
    """
    Return the bytes of a PQ code: the nearest divisor that is not coarser, since FAISS wants subvectors of one length.

    >>> codes_of(Rows(1, 768, "pq", code_dims=4)), codes_of(Rows(1, 10, "pq", code_dims=4))
    (192, 5)
    """
    wanted = math.ceil(rows.dims / rows.code_dims)
    return next(count for count in range(wanted, rows.dims + 1) if rows.dims % count == 0)


def lists_of(rows: Rows) -> int:
    """
    Return the number of inverted lists: the requested one, else 4 √n, and never more than can be trained.

    >>> lists_of(Rows(1_000_000, 8, "ivf")), lists_of(Rows(1_000_000, 8, "ivf", lists=10**6))
    (4000, 25641)
    """
    wanted = rows.lists or math.ceil(LISTS_PER_ROOT * math.sqrt(rows.vectors))
    return max(1, min(wanted, rows.vectors // ROWS_PER_LIST))


def _lists(rows: Rows) -> tuple[Term, ...]:
    lists = lists_of(rows)
    return (
        Term("list ids", "the row of each entry", rows.vectors * LIST_ID_BYTES),
        Term("centroids", f"{lists:,} inverted lists", lists * rows.dims * FLOAT32_BYTES),
    )


_TERMS: dict[IndexType, Callable[[Rows], tuple[Term, ...]]] = {"flat": _flat, "hnsw": _hnsw, "ivf": _ivf, "pq": _pq}


def measured_terms(rows: Rows, *, chunk_bytes: int) -> tuple[Term, ...]:
    """
    Return the measured model of one node: the terms of its memory while the next generation is built beside the
    serving one.
    """
    steady = index_terms(rows)
    return (
        *steady,
        Term("second generation", "the next one, built beside the serving one", total_bytes(steady)),
        text_term(rows.vectors, chunk_bytes),
        Term("delta", f"{DELTA_ROWS:,} exact rows since the base", DELTA_ROWS * rows.dims * FLOAT32_BYTES),
        Term("process", "interpreter, libraries, embedding tables", PROCESS_BYTES),
    )


def written_rows(base_rows: int) -> int:
    """
    Return the most rows written since a base of `base_rows` when the next base is due.

    >>> written_rows(1_000), written_rows(1_000_000)
    (10000, 250000)
    """
    return max(DELTA_ROWS, math.ceil(base_rows * WRITTEN_SHARE))


def written_entries(base_rows: int) -> int:
    """
    Return the most log entries written since a base of `base_rows` when the next base is due.

    >>> written_entries(1_000), written_entries(10_000_000)
    (1000, 25000)
    """
    return max(LOG_ENTRIES, math.ceil(base_rows * ENTRIES_SHARE))


def written_terms(rows: Rows, *, chunk_bytes: int) -> tuple[Term, ...]:
    """
    Return the most memory of rows written since the base, beside the delta in `measured_terms`. Rows above one delta
    are sealed into segments, each with its vectors, text and index in memory.
    """
    written = written_rows(rows.vectors)
    sealed = math.ceil((written - DELTA_ROWS) / DELTA_ROWS)
    one = replace(rows, vectors=DELTA_ROWS)
    over = 0 if rows.index == "flat" else index_bytes(one)
    return (
        Term("segments", f"{sealed:,} sealed deltas, vectors and index", sealed * (_vectors(one).bytes + over)),
        Term("written text", f"of {written:,} rows since the base", text_term(written, chunk_bytes).bytes),
    )


def chunk_bytes(characters: int) -> int:
    """
    Return the mean bytes of a chunk.

    >>> chunk_bytes(300)
    330
    """
    return round(characters * BYTES_PER_CHARACTER)


def text_term(vectors: int, chunk_bytes: int) -> Term:
    """Return the text of the rows: chunks of `chunk_bytes` on average, with titles and ids."""
    return Term("text", "chunks, titles and ids", vectors * (chunk_bytes + ROW_TEXT_OVERHEAD_BYTES))


def total_bytes(terms: Sequence[Term]) -> int:
    return sum(term.bytes for term in terms)


def generations_factor(rows: Rows) -> float:
    """
    Return two generations of the index as a multiple of the raw vectors. Above INDEX_FACTOR × SAFETY_FACTOR the formula
    is short whatever else a node needs.

    >>> round(generations_factor(Rows(1_000_000, 96)), 1)
    3.3
    """
    return GENERATIONS * index_bytes(rows) / (rows.vectors * rows.dims * FLOAT32_BYTES)


def disagreement(rows: Rows, *, formula_bytes: int, measured_bytes: int) -> str | None:
    """Return a sentence where formula and measured model differ by more than a tenth, else None."""
    ratio = measured_bytes / formula_bytes
    if abs(ratio - 1) <= AGREEMENT:
        return None
    asks = f"The measured model asks for {ratio:.2f} × the formula"
    if ratio > 1:
        return f"{asks} ({_why_short(rows)}); the plan reserves the larger."
    return (
        f"{asks}: the × {INDEX_FACTOR} is really room for a second generation, and what is left over is "
        f"headroom; the plan reserves the formula."
    )


def _why_short(rows: Rows) -> str:
    factor = generations_factor(rows)
    if factor > INDEX_FACTOR * SAFETY_FACTOR:
        return f"two generations alone take {factor:.2f} × the raw vectors at {rows.dims} dimensions"
    return "the formula counts no text and no process"
