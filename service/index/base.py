"""One immutable generation: rows and the structure over them, searched without locks."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from service.index.ann import Ann
from service.index.filters import Columns, Filter, Mask
from service.index.flat import Flat
from service.index.metric import METRICS
from service.index.part import NOTHING, Nearest, Passage, Vectors, best_rows
from service.index.rows import Documents, Rows
from service.index.string_columns import Texts
from service.storage.builds import IndexParameters


class Base:
    """Rows and the structure that finds them.

    `live` marks the rows that no later write has replaced or deleted. Dead rows stay in the structure, and answers
    leave them out. Searches use `parameters`.
    """

    def __init__(self, rows: Rows, ann: Ann, parameters: IndexParameters) -> None:
        self.rows = rows
        self.live = np.ones(len(rows.vectors), dtype=bool)
        self.parameters, self.metric = parameters, METRICS[parameters.metric]
        self._ann = ann
        self._texts = [Texts(rows.table.column(name)) for name in Passage._fields]
        self._sources = Texts(rows.table.column("source_id"))
        self.documents = Documents(rows.table)
        # Built here: bases are made in threads and by builders, and the first filtered search should not wait for it.
        metadata = rows.table.column("metadata")
        said = metadata.to_pylist() if pc.max(pc.binary_length(metadata)).as_py() else []
        self._columns = Columns(said, len(rows.vectors))

    def __len__(self) -> int:
        return len(self.live)

    @property
    def flat(self) -> bool:
        """True if every search looks at all rows."""
        return isinstance(self._ann, Flat)

    @property
    def dead_rows(self) -> int:
        return int(len(self.live) - self.live.sum())

    def search(self, vector: Vectors, count: int, among: Mask) -> Nearest:
        """Return those of `among` in `count` rows near `vector` (dims,), as the structure finds them.

        There are fewer if the other rows found were not of `among`; nothing is missing above the floor.
        """
        count = min(count, len(self.live))
        if count == 0 or not among.any():
            return NOTHING
        rows, scores = self._ann.search(vector, count)
        if len(rows) < count:
            # The structure reaches no more rows from here, however many there are.
            return self.search_exactly(vector, count, among)
        kept = among[rows]
        return Nearest(rows[kept], scores[kept], float(scores[-1]) if count < len(self.live) else -np.inf)

    def search_exactly(self, vector: Vectors, count: int, among: Mask) -> Nearest:
        return best_rows(self.rows.vectors, among, vector, count, self.metric)

    def look_further(self) -> bool:
        """Make searches look half as far again, and return whether that is further. Only builders call it."""
        further = self._ann.look_further(self.parameters)
        self.parameters = further or self.parameters
        return further is not None

    def matching(self, wanted: Filter | None) -> Mask:
        return self.live if wanted is None else self.live & self._columns.matching(wanted)

    def kill(self, rows: range) -> None:
        self.live[rows.start : rows.stop] = False

    def source_of(self, row: int) -> str:
        return self._sources[row]

    def passage(self, row: int) -> Passage:
        return Passage(*[texts[row] for texts in self._texts])

    def vectors_of(self, rows: range) -> Vectors:
        return self.rows.vectors[rows.start : rows.stop]
