"""Program of Milvus as a peer: fills and searches a server with pymilvus, over gRPC."""

from __future__ import annotations

import numpy as np
from pymilvus import DataType, MilvusClient

from benchmarks.programs.asking import Near, Task, Threads, serve

COLLECTION, FIELD = "bench", "vector"
BATCH = 2_000


def filled(task: Task) -> Threads:
    """Return searches of a loaded collection with every vector and its graph."""
    client, vectors = MilvusClient(uri=task.place), np.load(task.vectors)
    _insert(client, vectors)
    parameters = {"M": task.m, "efConstruction": task.ef_construction}
    index = client.prepare_index_params()
    index.add_index(FIELD, index_type="HNSW", metric_type="IP", params=parameters)
    client.create_index(COLLECTION, index)
    client.load_collection(COLLECTION)
    state = client.describe_index(COLLECTION, FIELD)
    if state["indexed_rows"] != len(vectors):
        raise RuntimeError(f"{state['indexed_rows']} of {len(vectors)} rows are in the graph")
    return Threads(_near(client, task))


def _insert(client: MilvusClient, vectors: np.ndarray) -> None:
    schema = MilvusClient.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field(FIELD, DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    client.create_collection(COLLECTION, schema=schema)
    for first in range(0, len(vectors), BATCH):
        rows = range(first, min(first + BATCH, len(vectors)))
        client.insert(COLLECTION, [{"id": row, FIELD: vectors[row]} for row in rows])
    # Only flushed rows are in segments, and only segments have graphs.
    client.flush(COLLECTION)


def _near(client: MilvusClient, task: Task) -> Near:
    queries, parameters = list(np.load(task.queries)), {"params": {"ef": task.ef_search}}

    def near(query: int) -> list[int]:
        (hits,) = client.search(COLLECTION, [queries[query]], limit=task.k, search_params=parameters)
        return [hit["id"] for hit in hits]

    return near


if __name__ == "__main__":
    serve(filled)
