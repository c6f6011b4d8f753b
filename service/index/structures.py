"""The structure over a shard's rows: chosen by the build's parameters, built, saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from service.index.ann import Ann
from service.index.distinct import DistinctVectors, Groups, RowSelection, groups_of
from service.index.flat import Flat
from service.index.metric import METRICS
from service.index.part import Vectors
from service.storage.builds import IndexParameters
from service.storage.entry import Damaged

Kind = Literal["flat", "hnsw", "ivf", "pq"]
# With fewer rows, k-means has too little to learn from, and exact search is faster than a walk through lists.
TRAINED_ROWS = 10_000
FILES: dict[Kind, str] = {"hnsw": "graph.hnsw", "ivf": "lists.faiss", "pq": "codes.faiss"}


def kind_of(parameters: IndexParameters, vectors: int) -> Kind:
    """Return the structure really built over this many distinct vectors: lists and codes must be worth training."""
    return "flat" if parameters.type in ("ivf", "pq") and vectors < TRAINED_ROWS else parameters.type


def build(vectors: Vectors, parameters: IndexParameters, threads: int) -> Ann:
    """Build a structure over `vectors`, shape (rows, dims), which it may go on reading."""
    groups = groups_of(vectors) if parameters.type != "flat" else None
    distinct = vectors if groups is None else np.ascontiguousarray(vectors[groups.first])
    match kind_of(parameters, len(distinct)):
        case "flat":
            return Flat(vectors, METRICS[parameters.metric])
        case "hnsw":
            from service.index.hnsw import Hnsw

            made: Ann = Hnsw.build(distinct, parameters, threads)
        case kind:
            from service.index.ivf_pq import InvertedLists

            made = InvertedLists.build(distinct, parameters, threads, codes=kind == "pq")
    return made if groups is None else DistinctVectors(made, groups)


def file_of(made: Ann, parameters: IndexParameters) -> str | None:
    """Return the name of the file that a structure is saved to; None if it needs none."""
    return None if isinstance(made, Flat) else FILES[parameters.type]


def load(path: Path | None, vectors: Vectors, parameters: IndexParameters) -> Ann:
    """Load a saved structure over `vectors`; `path` is None if nothing was saved.

    Check the file's bytes first: hnswlib silently loads flipped bits and other dimensions. Raise Damaged, also if these
    rows need another structure than this file's.
    """
    if path is None:
        _check_needless(vectors, parameters)
        return Flat(vectors, METRICS[parameters.metric])
    rows, dims = vectors.shape
    if parameters.type == "flat":
        raise Damaged(f"{path.name} over {rows} vectors, expected none")
    if parameters.type == "hnsw":
        from service.index.hnsw import Hnsw

        graph = Hnsw.load(path, rows, dims, parameters)
        groups = _groups(path, vectors, len(graph))
        return graph if groups is None else DistinctVectors(graph, groups)
    from service.index.ivf_pq import InvertedLists, read

    index = read(path, dims, parameters)
    groups = _groups(path, vectors, index.ntotal)
    codes = parameters.type == "pq"
    if groups is None:
        return InvertedLists(index, vectors, parameters, codes=codes)
    return DistinctVectors(InvertedLists(index, RowSelection(vectors, groups.first), parameters, codes=codes), groups)


def _check_needless(vectors: Vectors, parameters: IndexParameters) -> None:
    """Raise Damaged if a structure of these parameters has a file."""
    count = len(vectors)
    if kind_of(parameters, count) != "flat" and (groups := groups_of(vectors)) is not None:
        count = len(groups.first)
    if (kind := kind_of(parameters, count)) != "flat":
        raise Damaged(f"no file over {count} vectors, expected {FILES[kind]}")


def _groups(path: Path, vectors: Vectors, count: int) -> Groups | None:
    """Return the groups of a structure over `count` vectors; None if it has one vector for each row."""
    if count == len(vectors):
        # All rows differ, or the structure was built before equal vectors were grouped.
        return None
    groups = groups_of(vectors)
    distinct = len(vectors) if groups is None else len(groups.first)
    if count != distinct:
        raise Damaged(f"{path.name}: {count} vectors for {len(vectors)} rows, {distinct} of them different")
    return groups
