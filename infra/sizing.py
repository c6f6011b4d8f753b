"""How much memory a number of vectors takes. Pure arithmetic on the standard library: no Pulumi, no AWS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FLOAT32_BYTES = 4
INDEX_FACTOR = 2  # the contract's allowance for the index; in effect room for a second generation
SAFETY_FACTOR = 1.5  # growth between two resizes
MAX_VECTORS_PER_SHARD = 10_000_000  # beyond it a rebuild takes hours and one lost replica hurts too much

# What one row costs besides its vector and its own links, read in hnswlib 0.8 and within 2 % of measured RSS.
LABEL_BYTES = 8
LIST_HEAD_BYTES = 8 + 4 + 40  # pointer to the upper levels, level number, mutex
LABEL_MAP_BYTES = 48  # node and bucket of the hash map from label to row
ROW_TEXT_OVERHEAD_BYTES = 160  # source_id, title, position and Arrow offsets beside a chunk's text
PROCESS_BYTES = 400 * 2**20  # interpreter, numpy, pyarrow and the embedding tables of one node
DELTA_ROWS = 10_000  # rows kept outside the base before they are sealed

GENERATIONS = 2  # the serving copy and the one that is built beside it


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


def hnsw_row_bytes(*, dims: int, m: int) -> float:
    """
    Steady bytes per vector of an hnswlib index, all parts together.

    >>> round(hnsw_row_bytes(dims=384, m=16) / (384 * 4), 2)
    1.16
    """
    return dims * FLOAT32_BYTES + links_bytes(m) + LABEL_BYTES + LIST_HEAD_BYTES + LABEL_MAP_BYTES


def measured_terms(*, vectors: int, dims: int, m: int, chunk_bytes: int) -> tuple[Term, ...]:
    """
    The measured model of one node that holds `vectors` rows: terms that add up to what the process needs at
    its worst moment, while the next generation is built beside the serving one.
    """
    per_copy = vectors * hnsw_row_bytes(dims=dims, m=m)
    steady = (
        Term("vectors", "float32 rows", vectors * dims * FLOAT32_BYTES),
        Term("links", f"graph links, M = {m}", math.ceil(vectors * links_bytes(m))),
        Term(
            "labels",
            "labels, list heads and the map from label to row",
            vectors * (LABEL_BYTES + LIST_HEAD_BYTES + LABEL_MAP_BYTES),
        ),
    )
    return (
        *steady,
        Term("switch", "the next generation, built beside the serving one", math.ceil(per_copy)),
        Term("text", "chunks, titles and ids", vectors * (chunk_bytes + ROW_TEXT_OVERHEAD_BYTES)),
        Term("delta", f"{DELTA_ROWS:,} exact rows since the base", DELTA_ROWS * dims * FLOAT32_BYTES),
        Term("process", "interpreter, libraries, embedding tables", PROCESS_BYTES),
    )


def total_bytes(terms: Sequence[Term]) -> int:
    """The sum of the terms."""
    return sum(term.bytes for term in terms)


def contract_factor() -> float:
    """Recommended memory as a multiple of the raw vectors."""
    return INDEX_FACTOR * SAFETY_FACTOR


def switch_factor(*, dims: int, m: int) -> float:
    """
    Two generations of the index as a multiple of the raw vectors; above `contract_factor()` the formula is
    short whatever else a node needs.

    >>> round(switch_factor(dims=96, m=16), 1)
    3.3
    """
    return GENERATIONS * hnsw_row_bytes(dims=dims, m=m) / (dims * FLOAT32_BYTES)


def disagreement(*, formula_bytes: int, measured_bytes: int, dims: int, m: int) -> str | None:
    """One sentence where formula and measured model differ by more than a tenth; None where they agree."""
    ratio = measured_bytes / formula_bytes
    if 0.9 <= ratio <= 1.1:
        return None
    asks = f"The measured model asks for {ratio:.2f} × the formula"
    if ratio > 1.1:
        return f"{asks} ({_why_short(dims=dims, m=m)}); the plan reserves the larger."
    return (
        f"{asks}: the × {INDEX_FACTOR} is really room for a second generation, and what is left over is "
        f"headroom; the plan reserves the formula."
    )


def _why_short(*, dims: int, m: int) -> str:
    factor = switch_factor(dims=dims, m=m)
    if factor > contract_factor():
        return f"two generations alone take {factor:.2f} × the raw vectors at {dims} dimensions"
    return "the formula counts no text and no process"
