"""How much memory a number of vectors takes. Pure arithmetic on the standard library: no Pulumi, no AWS."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

FLOAT32_BYTES = 4
INDEX_FACTOR = 2  # the contract's allowance for the index; in effect room for a second generation
SAFETY_FACTOR = 1.5  # growth between two resizes
MAX_VECTORS_PER_SHARD = 10_000_000  # beyond it a rebuild takes hours and one lost replica hurts too much

# What one row costs besides its vector and its own links, read in hnswlib 0.8 and within 2 % of measured RSS.
LABEL_BYTES = 8
LIST_HEAD_BYTES = 8 + 4 + 40  # pointer to the upper levels, level number, mutex
LABEL_MAP_BYTES = 48  # node and bucket of the hash map from label to row
# What FAISS holds, by its own documentation: an id per row of an inverted list, one byte per subquantizer, and the
# centroids of lists and codes. 4 √n lists is the low end of what it recommends, 39 rows the fewest that train a list.
LIST_ID_BYTES = 8
LISTS_PER_ROOT = 4
ROWS_PER_LIST = 39
CODES = 256
BYTES_PER_CHARACTER = 1.1  # English text in UTF-8 with the odd wider character
ROW_TEXT_OVERHEAD_BYTES = 160  # source_id, title, position and Arrow offsets beside a chunk's text
PROCESS_BYTES = 400 * 2**20  # interpreter, numpy, pyarrow and the embedding tables of one node
DELTA_ROWS = 10_000  # rows kept outside the base before they are sealed
WRITTEN_SHARE = 0.25  # of the base: so many rows may be written since, before the next base is built of all
LOG_ENTRIES = 1_000  # since a base, before the next one is built, unless this share of its rows is more
ENTRIES_SHARE = 0.0025

GENERATIONS = 2  # the serving copy and the one that is built beside it
AGREEMENT = 0.1  # formula and model that differ by less agree

IndexType = Literal["flat", "hnsw", "ivf", "pq"]
INDEX_TYPES: tuple[IndexType, ...] = get_args(IndexType)


@dataclass(frozen=True)
class Ram:
    """The contract's formula in its three steps, in bytes for one copy of the whole collection."""

    floor_bytes: int
    index_bytes: int
    recommended_bytes: int


@dataclass(frozen=True)
class Term:
    """One named part of the measured model: what it pays for and its size in bytes."""

    name: str
    meaning: str
    bytes: int


@dataclass(frozen=True)
class Rows:
    """
    What an index is made of: how many vectors of which dimensions, in which kind of index. `m` is HNSW's, `lists` those
    of IVF and PQ (0 for what fits the rows), `code_dims` the dimensions that PQ puts into a byte.
    """

    vectors: int
    dims: int
    index: IndexType = "hnsw"
    m: int = 16
    lists: int = 0
    code_dims: int = 4


def ram(*, vectors: int, dims: int) -> Ram:
    """
    Floor (raw float32 vectors), index (× 2) and recommended (× 1.5) memory.

    >>> ram(vectors=1_000_000, dims=1536)
    Ram(floor_bytes=6144000000, index_bytes=12288000000, recommended_bytes=18432000000)
    """
    floor_bytes = vectors * dims * FLOAT32_BYTES
    index_bytes = floor_bytes * INDEX_FACTOR
    return Ram(floor_bytes, index_bytes, math.ceil(index_bytes * SAFETY_FACTOR))


def links_bytes(m: int) -> float:
    """
    Mean bytes of graph links per vector for hnswlib's parameter M: 2M at level 0, M at each level above.

    >>> round(links_bytes(16), 1)
    137.6
    """
    level_zero = 2 * m * 4 + 4
    upper_levels = (4 * m + 4 + 16) / (m - 1)
    return level_zero + upper_levels


def index_terms(rows: Rows) -> tuple[Term, ...]:
    """
    One generation of the index, part by part.

    >>> [term.name for term in index_terms(Rows(100_000, 384))]
    ['vectors', 'links', 'labels', 'id map']
    """
    return _TERMS[rows.index](rows)


def index_bytes(rows: Rows) -> int:
    """
    Bytes of one generation of the index.

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
    Bytes of a PQ code. FAISS wants subvectors of one length, so it is the nearest divisor that is not coarser.

    >>> codes_of(Rows(1, 768, "pq", code_dims=4)), codes_of(Rows(1, 10, "pq", code_dims=4))
    (192, 5)
    """
    wanted = math.ceil(rows.dims / rows.code_dims)
    return next(count for count in range(wanted, rows.dims + 1) if rows.dims % count == 0)


def lists_of(rows: Rows) -> int:
    """
    How many inverted lists stand over the rows: those asked for, else 4 √n, never more than can be trained.

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
    The measured model of one node that holds these rows: terms that add up to what the process needs at its worst
    moment, while the next generation is built beside the serving one.
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
    Rows that may have been written since a base of `base_rows`, when the next base is due while writes go on.

    >>> written_rows(1_000), written_rows(1_000_000)
    (10000, 250000)
    """
    return max(DELTA_ROWS, math.ceil(base_rows * WRITTEN_SHARE))


def written_entries(base_rows: int) -> int:
    """
    Log entries that may have been written since a base of `base_rows`, when the next base is due.

    >>> written_entries(1_000), written_entries(10_000_000)
    (1000, 25000)
    """
    return max(LOG_ENTRIES, math.ceil(base_rows * ENTRIES_SHARE))


def written_terms(rows: Rows, *, chunk_bytes: int) -> tuple[Term, ...]:
    """
    What rows written since the base take at most, beside the delta that `measured_terms` has: what is more than one
    delta stands in segments, each with its vectors, text and structure in memory.
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
    Bytes that a chunk of so many characters takes.

    >>> chunk_bytes(300)
    330
    """
    return round(characters * BYTES_PER_CHARACTER)


def text_term(vectors: int, chunk_bytes: int) -> Term:
    """What the rows say: chunks of `chunk_bytes` on average, and their titles and ids."""
    return Term("text", "chunks, titles and ids", vectors * (chunk_bytes + ROW_TEXT_OVERHEAD_BYTES))


def total_bytes(terms: Sequence[Term]) -> int:
    """The sum of the terms."""
    return sum(term.bytes for term in terms)


def contract_factor() -> float:
    """Recommended memory as a multiple of the raw vectors."""
    return INDEX_FACTOR * SAFETY_FACTOR


def generations_factor(rows: Rows) -> float:
    """
    Two generations of the index as a multiple of the raw vectors; above `contract_factor()` the formula is
    short whatever else a node needs.

    >>> round(generations_factor(Rows(1_000_000, 96)), 1)
    3.3
    """
    return GENERATIONS * index_bytes(rows) / (rows.vectors * rows.dims * FLOAT32_BYTES)


def disagreement(rows: Rows, *, formula_bytes: int, measured_bytes: int) -> str | None:
    """One sentence where formula and measured model differ by more than a tenth; None where they agree."""
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
    if factor > contract_factor():
        return f"two generations alone take {factor:.2f} × the raw vectors at {rows.dims} dimensions"
    return "the formula counts no text and no process"
