"""Chroma's server as a peer: the same vectors in one collection, searched over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.closed_loop import HttpSearches, request
from benchmarks.peer import PeerError, SearchLoad, answers_http, pin, server
from rehearsal.emulator.launch import free_port
from service.index.part import Vectors
from service.storage.builds import IndexParameters

HOST = "127.0.0.1"
BATCH = 2_000
API = "/api/v2/tenants/default_tenant/databases/default_database/collections"


@contextmanager
def chroma(
    program: Path, folder: Path, vectors: Vectors, index: IndexParameters, asked: SearchLoad, processors: set[int]
) -> Iterator[HttpSearches]:
    """Yield a filled server in `folder`, pinned to these processors; raise PeerError."""
    port, log = free_port(), folder / "chroma.log"
    command = [str(program), "run", "--path", str(folder), "--host", HOST, "--port", str(port)]
    answers = partial(answers_http, f"http://{HOST}:{port}/api/v2/heartbeat")
    with server("Chroma", command, log, answers, {}) as process:
        collection = _filled(port, vectors, index)
        pin(process, processors)
        requests = [_query(collection, query, asked.k) for query in asked.queries]
        yield HttpSearches("Chroma", (HOST, port), requests, _rows, asked.connections)


def _filled(port: int, vectors: Vectors, index: IndexParameters) -> str:
    parameters = {"max_neighbors": index.m, "ef_construction": index.ef_construction, "ef_search": index.ef_search}
    wanted = {"name": "bench", "configuration": {"hnsw": {"space": "ip", **parameters}}}
    collection = str(_post(port, API, wanted)["id"])
    for first in range(0, len(vectors), BATCH):
        rows = range(first, min(first + BATCH, len(vectors)))
        body = {"ids": [str(row) for row in rows], "embeddings": [vectors[row].tolist() for row in rows]}
        _post(port, f"{API}/{collection}/add", body)
    return collection


def _post(port: int, path: str, body: object) -> dict[str, Any]:
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{HOST}:{port}{path}", data, headers), timeout=300
        ) as answer:
            return dict(json.loads(answer.read() or b"{}") or {})
    except urllib.error.HTTPError as error:
        raise PeerError(f"Chroma refused {path}: {error.code} {error.read()[:300].decode(errors='replace')}") from error


def _query(collection: str, query: Vectors, k: int) -> bytes:
    body = {"query_embeddings": [query.tolist()], "n_results": k, "include": ["distances"]}
    return request(HOST, f"{API}/{collection}/query", "application/json", json.dumps(body).encode())


def _rows(body: bytes) -> list[int]:
    return [int(one) for one in json.loads(body)["ids"][0]]
