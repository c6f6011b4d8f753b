"""IVF and PQ by FAISS: rows in lists around centroids, stored whole or as codes of one byte for several dimensions.

Sources: Jégou, Douze, Schmid, Product quantization for nearest neighbor search, 2011, and the guidelines at
https://github.com/facebookresearch/faiss/wiki/Guidelines-to-choose-an-index.
"""

from __future__ import annotations

import math
from pathlib import Path

import faiss
import msgspec
import numpy as np

from infra.facts.index_parameters import BOUNDS
from service.index.ann import Neighbours, further
from service.index.distinct import RowSelection
from service.index.metric import METRICS
from service.index.part import Vectors
from service.storage.builds import IndexParameters
from service.storage.entry import Damaged

LISTS_PER_ROOT = 4  # 4 √n lists, the low end of the guidelines
ROWS_PER_LIST = 39  # FAISS calls k-means on fewer rows a centroid a poor training
TRAINED_ROWS_PER_LIST = 64
PROBED_SHARE = 1 / 32
LEAST_PROBES = 32
CODE_BITS = 8
MOST_RESCORED = BOUNDS["rescored"][1]


def lists_of(parameters: IndexParameters, rows: int) -> int:
    """Return the number of lists for this many rows: as configured, else 4 √n, and never more than can be trained."""
    wanted = parameters.lists or math.ceil(LISTS_PER_ROOT * math.sqrt(rows))
    return max(1, min(wanted, rows // ROWS_PER_LIST))


def probes_of(parameters: IndexParameters, lists: int) -> int:
    """Return the number of lists that a search probes."""
    return min(lists, parameters.probes or max(LEAST_PROBES, round(lists * PROBED_SHARE)))


def subvectors_of(parameters: IndexParameters, dims: int) -> int:
    """Return the number of codes for a vector.

    FAISS needs codes of equal length, so it is the next divisor of `dims` that is no coarser than configured.
    """
    wanted = math.ceil(dims / parameters.code_dims)
    return next(count for count in range(wanted, dims + 1) if dims % count == 0)


class InvertedLists:
    """An inverted file.

    With codes, candidates may be scored again by their stored vectors, which stay on disk until then.
    """

    def __init__(
        self, index: faiss.IndexIVF, vectors: Vectors | RowSelection, parameters: IndexParameters, *, codes: bool
    ) -> None:
        index.nprobe = probes_of(parameters, index.nlist)
        self._index, self._vectors = index, vectors
        self._codes, self._rescored = codes, parameters.rescored if codes else 0
        self._metric = METRICS[parameters.metric]

    @classmethod
    def build(cls, vectors: Vectors, parameters: IndexParameters, threads: int, *, codes: bool) -> InvertedLists:
        """Train on a sample and add all rows; see `structures.build`."""
        rows, dims = vectors.shape
        lists = lists_of(parameters, rows)
        # The lists use the rows' metric: the inner product if rows have unit length.
        by_distance = METRICS[parameters.metric].space == "l2"
        coarse = faiss.IndexFlatL2(dims) if by_distance else faiss.IndexFlatIP(dims)
        metric = faiss.METRIC_L2 if by_distance else faiss.METRIC_INNER_PRODUCT
        made: faiss.IndexIVF = (
            faiss.IndexIVFPQ(coarse, dims, lists, subvectors_of(parameters, dims), CODE_BITS, metric)
            if codes
            else faiss.IndexIVFFlat(coarse, dims, lists, metric)
        )
        made.cp.max_points_per_centroid = TRAINED_ROWS_PER_LIST
        before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(threads)
        try:
            made.train(_sample(vectors, lists))
            made.add(vectors)
        finally:
            faiss.omp_set_num_threads(before)
        return cls(made, vectors, parameters, codes=codes)

    def search(self, vector: Vectors, count: int) -> Neighbours:
        """See `Ann.search`."""
        fetched = min(count * max(1, self._rescored), self._index.ntotal)
        measured, labels = self._index.search(vector.reshape(1, -1), fetched)
        reached = labels[0] >= 0
        rows, found = labels[0][reached], measured[0][reached]
        if self._rescored:
            found = self._metric.scores(self._vectors[rows], vector)
            best = np.argsort(-found, kind="stable")[:count]
            rows, found = rows[best], found[best]
        elif self._metric.space == "l2":
            found = -found
        return Neighbours(rows.astype(np.int64), found)

    def look_further(self, parameters: IndexParameters) -> IndexParameters | None:
        """Probe more lists, up to all; with codes, score more candidates again."""
        probes = further(self._index.nprobe, self._index.nlist)
        rescored = further(self._rescored, MOST_RESCORED) if self._codes else 0
        if (probes, rescored) == (self._index.nprobe, self._rescored):
            return None
        self._index.nprobe, self._rescored = probes, rescored
        more = {"rescored": rescored} if self._codes else {}
        return msgspec.structs.replace(parameters, probes=probes, **more)

    def save(self, path: Path) -> None:
        faiss.write_index(self._index, str(path))


def read(path: Path, dims: int, parameters: IndexParameters) -> faiss.IndexIVF:
    """Read the index file that `InvertedLists` wraps; raise Damaged unless it holds vectors of `dims` dimensions."""
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise Damaged(f"{path.name}: FAISS refused it: {str(error).splitlines()[0]}") from error
    wanted = faiss.IndexIVFPQ if parameters.type == "pq" else faiss.IndexIVFFlat
    if not isinstance(index, wanted) or index.d != dims:
        expected = f"a {wanted.__name__} of {dims}"
        raise Damaged(f"{path.name}: holds a {type(index).__name__} of {index.d} dimensions, expected {expected}")
    return index


def _sample(vectors: Vectors, lists: int) -> Vectors:
    """Choose the rows to train on, always the same for the same rows, so builds agree on every machine."""
    most = max(TRAINED_ROWS_PER_LIST * lists, TRAINED_ROWS_PER_LIST * 2**CODE_BITS)
    if len(vectors) <= most:
        return np.ascontiguousarray(vectors)
    chosen = np.random.default_rng(len(vectors)).choice(len(vectors), most, replace=False)
    return np.ascontiguousarray(vectors[np.sort(chosen)])
