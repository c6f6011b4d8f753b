"""Program of Weaviate as a peer: fills and searches a server with its own client, searches over gRPC."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import weaviate
from weaviate.classes.data import DataObject

from benchmarks.programs.asking import Near, Task, Threads, serve

COLLECTION = "Bench"
BATCH = 1_000


def filled(task: Task) -> Threads:
    """Return searches of a collection with every vector and its graph."""
    client = _client(task.place)
    parameters = {"maxConnections": task.m, "efConstruction": task.ef_construction, "ef": task.ef_search}
    # The graph keeps unquantized vectors, as every other peer's does.
    graph = parameters | {"distance": "dot", "skipDefaultQuantization": True}
    wanted = {"class": COLLECTION, "vectorizer": "none", "vectorIndexType": "hnsw", "vectorIndexConfig": graph}
    client.collections.create_from_dict(wanted)
    collection, vectors = client.collections.get(COLLECTION), np.load(task.vectors)
    for first in range(0, len(vectors), BATCH):
        rows = range(first, min(first + BATCH, len(vectors)))
        objects = [DataObject(properties={}, uuid=UUID(int=row), vector=vectors[row].tolist()) for row in rows]
        put = collection.data.insert_many(objects)
        if put.has_errors:
            raise RuntimeError(str(next(iter(put.errors.values()))))
    return Threads(_near(collection, task))


def _client(place: str) -> weaviate.WeaviateClient:
    http, grpc = (one.split(":") for one in place.split())
    return weaviate.connect_to_custom(
        http_host=http[0],
        http_port=int(http[1]),
        http_secure=False,
        grpc_host=grpc[0],
        grpc_port=int(grpc[1]),
        grpc_secure=False,
    )


def _near(collection: weaviate.collections.Collection, task: Task) -> Near:
    queries = np.load(task.queries).tolist()

    def near(query: int) -> list[int]:
        found = collection.query.near_vector(queries[query], limit=task.k, return_properties=[])
        return [one.uuid.int for one in found.objects]

    return near


if __name__ == "__main__":
    serve(filled)
