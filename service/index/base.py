"""One immutable generation: rows and the structure over them, searched without locks as nothing ever adds to it."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from service.index.ann import Ann
from service.index.filters import Columns, Filter, Mask
from service.index.flat import Flat
from service.index.metric import METRICS
from service.index.part import NOTHING, Nearest, Passage, Vectors, best_rows
from service.index.rows import Documents, Rows
from service.index.texts import Texts
from service.storage.builds import IndexParameters


class Base:
    """
    Rows and what finds them.

    `live` marks the rows that no later write has replaced or deleted: those stay in the structure, and answers
    leave them out. `parameters` are those that the structure is searched with.
    """

    def __init__(self, rows: Rows, ann: Ann, parameters: IndexParameters) -> None:
        self.rows = rows
        self.live = np.ones(len(rows.vectors), dtype=bool)
        self.parameters, self.metric = parameters, METRICS[parameters.metric]
        self._ann = ann
        self._texts = [Texts(rows.table.column(name)) for name in Passage._fields]
        self._sources = Texts(rows.table.column("source_id"))
        self.documents = Documents(rows.table)
        # Here, since bases are made in threads and by builders, and the first filter should not wait for it.
        metadata = rows.table.column("metadata")
        said = metadata.to_pylist() if pc.max(pc.binary_length(metadata)).as_py() else []
        self._columns = Columns(said, len(rows.vectors))

    def __len__(self) -> int:
        return len(self.live)

    @property
    def flat(self) -> bool:
        """Whether every search looks at all rows."""
        return isinstance(self._ann, Flat)

    @property
    def dead_rows(self) -> int:
        """Rows that answers leave out."""
        return int(len(self.live) - self.live.sum())

    def search(self, vector: Vectors, count: int, among: Mask) -> Nearest:
        """
        Those of `among` in `count` rows near `vector` (dims,), as the structure knows it.

        Fewer than asked means that the others were none of them; the floor says down to where nothing is missing.
        """
        count = min(count, len(self.live))
        if count == 0 or not among.any():
            return NOTHING
        rows, scores = self._ann.search(vector, count)
        if len(rows) < count:
            # It reaches no more from here, whatever else there is.
            return self.search_exactly(vector, count, among)
        kept = among[rows]
        return Nearest(rows[kept], scores[kept], float(scores[-1]) if count < len(self.live) else -np.inf)

    def search_exactly(self, vector: Vectors, count: int, among: Mask) -> Nearest:
        """The `count` rows of `among` with the greatest scores, by looking at all of them."""
        return best_rows(self.rows.vectors, among, vector, count, self.metric)

    def look_further(self) -> bool:
        """Have searches look half as far again, for who builds; whether that is further."""
        further = self._ann.look_further(self.parameters)
        self.parameters = further or self.parameters
        return further is not None

    def matching(self, wanted: Filter | None) -> Mask:
        """The live rows that a filter lets through."""
        return self.live if wanted is None else self.live & self._columns.matching(wanted)

    def kill(self, rows: range) -> None:
        """Leave these rows out of answers from now on."""
        self.live[rows.start : rows.stop] = False

    def source_of(self, row: int) -> str:
        """The document that a row belongs to."""
        return self._sources[row]

    def passage(self, row: int) -> Passage:
        """What a row says."""
        return Passage(*[texts[row] for texts in self._texts])

    def vectors_of(self, rows: range) -> Vectors:
        """The vectors of some rows, shape (rows, dims)."""
        return self.rows.vectors[rows.start : rows.stop]
