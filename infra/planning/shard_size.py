"""The size of a shard: memory of a replica, files of a snapshot, and the log that a new replica replays. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from infra.planning.memory import (
    FLOAT32_BYTES,
    LABEL_BYTES,
    Rows,
    Term,
    index_terms,
    measured_terms,
    ram,
    text_term,
    total_bytes,
    written_entries,
    written_rows,
    written_terms,
)
from infra.planning.recovery import Burden
from infra.planning.workload import Workload

MAX_VECTORS_PER_SHARD = 10_000_000  # a larger shard takes hours to rebuild
LINK_BYTES = 4
LENGTH_BYTES = 4  # before the upper links of each row


@dataclass(frozen=True)
class ShardSize:
    """The largest of a number of equal shards: `memory_bytes` is the larger of formula and measured model."""

    rows: Rows
    terms: tuple[Term, ...]
    memory_bytes: int
    burden: Burden


def shard_size(workload: Workload, shards: int) -> ShardSize:
    """Return the size at its worst: with a next generation, and with all rows that may be written since the base."""
    rows = replace(workload.rows, vectors=math.ceil(workload.vectors / shards))
    text = workload.chunk_bytes
    terms = (*measured_terms(rows, chunk_bytes=text), *written_terms(rows, chunk_bytes=text))
    written = written_rows(rows.vectors)
    return ShardSize(
        rows=rows,
        terms=terms,
        memory_bytes=max(ram(vectors=rows.vectors, dims=rows.dims).recommended_bytes, total_bytes(terms)),
        burden=Burden(
            snapshot_bytes=total_bytes(snapshot_terms(rows, chunk_bytes=text)),
            log_bytes=written * rows.dims * FLOAT32_BYTES + text_term(written, text).bytes,
            log_rows=written,
            log_entries=written_entries(rows.vectors),
        ),
    )


def snapshot_terms(rows: Rows, *, chunk_bytes: int) -> tuple[Term, ...]:
    """
    Return the files of one generation: the rows with their vectors, whatever the index, and the index over them.

    >>> [term.name for term in snapshot_terms(Rows(100_000, 256), chunk_bytes=330)]
    ['rows.arrow', 'structure']
    """
    vectors = rows.vectors * rows.dims * FLOAT32_BYTES
    text = text_term(rows.vectors, chunk_bytes).bytes
    return (
        Term("rows.arrow", "vectors, text and ids", vectors + text),
        Term("structure", "the index beside them", _structure_bytes(rows)),
    )


def logs_bytes(workload: Workload) -> int:
    """Return the bytes of all shard logs in S3 when each row was written once: its text and its vector."""
    return documents_bytes(workload) + workload.vectors * workload.dims * FLOAT32_BYTES


def documents_bytes(workload: Workload) -> int:
    """Return the bytes of the documents log in S3 when each text was written once."""
    return text_term(workload.vectors, workload.chunk_bytes).bytes


def _structure_bytes(rows: Rows) -> int:
    if rows.index == "flat":
        return 0
    if rows.index == "hnsw":
        return math.ceil(rows.vectors * _graph_row_bytes(rows))
    # FAISS writes its memory as it is.
    return total_bytes(index_terms(rows))


def _graph_row_bytes(rows: Rows) -> float:
    """
    Return the mean bytes of a row in hnswlib's file: its vector, 2M links and their number at level 0, its label, and
    the links of the upper levels, which hold one row in M.
    """
    level_zero = (2 * rows.m + 1) * LINK_BYTES
    upper_levels = (rows.m + 1) * LINK_BYTES / (rows.m - 1)
    return rows.dims * FLOAT32_BYTES + level_zero + LABEL_BYTES + LENGTH_BYTES + upper_levels
