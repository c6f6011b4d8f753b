"""Program of LanceDB as a peer: a table, filled and searched in this process."""

from __future__ import annotations

import asyncio

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import HnswFlat

from benchmarks.programs.asking import Coroutines, NearLater, Task, serve

TABLE, FIELD = "bench", "vector"
ANSWERED = ["id", "_distance"]  # without the distance LanceDB logs a warning for each search


def filled(task: Task) -> Coroutines:
    """Return searches of a table with every vector, and one graph over the unquantized vectors."""
    # LanceDB's blocking interface runs this one in a thread for each search, and reaches seven tenths of the rate.
    runner = asyncio.Runner()
    return Coroutines(_near(runner.run(_table(task)), task), runner)


async def _table(task: Task) -> lancedb.AsyncTable:
    vectors = np.load(task.vectors)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    rows = pa.table({"id": pa.array(range(len(vectors)), pa.int64()), FIELD: column})
    table = await (await lancedb.connect_async(task.place)).create_table(TABLE, rows)
    graph = HnswFlat(distance_type="dot", num_partitions=1, m=task.m, ef_construction=task.ef_construction)
    await table.create_index(FIELD, config=graph)
    left = (await table.index_stats(f"{FIELD}_idx")).num_unindexed_rows
    if left:
        raise RuntimeError(f"{left} of {len(vectors)} rows are not in the graph")
    return table


def _near(table: lancedb.AsyncTable, task: Task) -> NearLater:
    queries = list(np.load(task.queries))

    async def near(query: int) -> list[int]:
        search = table.query().nearest_to(queries[query]).column(FIELD).distance_type("dot").nprobes(1)
        found = await search.ef(task.ef_search).select(ANSWERED).limit(task.k).to_arrow()
        return list(found["id"].to_pylist())

    return near


if __name__ == "__main__":
    serve(filled)
