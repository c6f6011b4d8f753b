"""How large the files of a snapshot are: what a replica downloads, and what lies in S3. Pure arithmetic."""

from __future__ import annotations

import math

from infra.sizing import FLOAT32_BYTES, LABEL_BYTES, Rows, Term, index_terms, text_term, total_bytes

LINK_BYTES = 4
LENGTH_BYTES = 4  # what stands before the upper links of each row


def snapshot_terms(rows: Rows, *, chunk_bytes: int) -> tuple[Term, ...]:
    """
    The files of one generation: the rows with their vectors, whatever the index, and beside them what stands over them.

    >>> [term.name for term in snapshot_terms(Rows(100_000, 256), chunk_bytes=330)]
    ['rows.arrow', 'structure']
    """
    vectors = rows.vectors * rows.dims * FLOAT32_BYTES
    text = text_term(rows.vectors, chunk_bytes).bytes
    return (
        Term("rows.arrow", "vectors, text and ids", vectors + text),
        Term("structure", "what is saved of the index beside them", _structure_bytes(rows)),
    )


def snapshot_bytes(rows: Rows, *, chunk_bytes: int) -> int:
    """Bytes of one generation's files."""
    return total_bytes(snapshot_terms(rows, chunk_bytes=chunk_bytes))


def _structure_bytes(rows: Rows) -> int:
    if rows.index == "flat":
        return 0
    if rows.index == "hnsw":
        return math.ceil(rows.vectors * _graph_row_bytes(rows))
    # FAISS writes what it holds.
    return total_bytes(index_terms(rows))


def _graph_row_bytes(rows: Rows) -> float:
    """
    A row in hnswlib's file: its vector, 2M links and their number at level 0, its label, and the links of the levels
    above, on which one row in M stands.
    """
    level_zero = (2 * rows.m + 1) * LINK_BYTES
    upper_levels = (rows.m + 1) * LINK_BYTES / (rows.m - 1)
    return rows.dims * FLOAT32_BYTES + level_zero + LABEL_BYTES + LENGTH_BYTES + upper_levels
