"""The OpenAPI 3.1 document of the public API, made from the types of its requests and answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from service import VERSION
from service.router.answers import (
    AskedSnapshots,
    BatchAnswer,
    CollectionAnswer,
    CollectionsAnswer,
    DocumentAnswer,
    DroppedAnswer,
    LookupDocuments,
    ProblemDetails,
    SearchAnswer,
    SlotsAnswer,
    SnapshotsAnswer,
    StatusAnswer,
    UndoAnswer,
    VerifyingSnapshots,
    WriteAnswer,
)
from service.router.api.requests import (
    BatchRequest,
    CollectionRequest,
    DeletionQuery,
    DocumentQuery,
    LookupRequest,
    SearchRequest,
    SnapshotRequest,
    SnapshotsQuery,
    UndoRequest,
    VerificationRequest,
    WriteRequest,
)
from service.storage.collections import REFERENCE_PATTERN
from service.wire.limits import MAX_SOURCE_ID
from vectorfleet.slots import SLOT_HEADER, SLOTS

REFERENCE = "#/components/schemas/{name}"
JSON, PROBLEM, RAW = "application/json", "application/problem+json", "application/octet-stream"
RAW_VECTOR = "The vector as little-endian float32. The other members are in the query string, for such a body alone."
ONLY_IN_BODIES = ("text", "vector", "filter")
SAID = {
    400: "The request can't be read as HTTP.",
    401: "The key is missing or not known.",
    403: "The key's role may not do this.",
    404: "The document or collection does not exist.",
    409: "The vectors are of another model, or another collection has the name.",
    410: "The collection was dropped.",
    413: "A size limit is exceeded.",
    415: "The body is compressed, or its media type is not supported.",
    421: "The request names another slot than this router's.",
    422: "The body does not match this description, or is not valid.",
    429: "Too many requests wait, or the key sends too many.",
    507: "A node has too little memory or disk for more.",
    503: "A required part of the service gives no answer now.",
}


@dataclass(frozen=True)
class Operation:
    """
    One method of one path, answered with `status`.

    `query` is the shape of its query string. `refusals` are its statuses besides those of every operation. If the body
    may be a `raw` vector, the members of `body` are in the query string.
    """

    method: str
    path: str
    summary: str
    answer: type
    body: type | None = None
    refusals: tuple[int, ...] = ()
    query: type | None = None
    status: int = 200
    raw: bool = False


# Refusals of operations that name a collection, and of operations with a body or without one.
NAMING = (404, 410, 422)
SENDING = (413, 415, 422)
OPERATIONS = (
    Operation("GET", "/v1/collections", "Every collection", CollectionsAnswer),
    Operation("GET", "/v1/collections/{name}", "One collection", CollectionAnswer, None, NAMING),
    Operation("PUT", "/v1/collections/{name}", "Create a collection", CollectionAnswer, CollectionRequest, (409,)),
    Operation("DELETE", "/v1/collections/{name}", "Drop a collection", DroppedAnswer, None, (409, *NAMING)),
    Operation(
        "POST",
        "/v1/documents",
        "Store, replace and delete documents",
        WriteAnswer,
        WriteRequest,
        (409, 507, *NAMING),
    ),
    Operation("GET", "/v1/documents/{source_id}", "A document as written", DocumentAnswer, None, NAMING, DocumentQuery),
    Operation(
        "DELETE",
        "/v1/documents/{source_id}",
        "Delete one document",
        WriteAnswer,
        None,
        (*SENDING, *NAMING),
        DeletionQuery,
    ),
    Operation("POST", "/v1/documents/lookup", "What is held of documents", LookupDocuments, LookupRequest, NAMING),
    Operation("POST", "/v1/search", "The nearest documents", SearchAnswer, SearchRequest, (409, *NAMING), raw=True),
    Operation("POST", "/v1/search/batch", "Several searches at once", BatchAnswer, BatchRequest),
    Operation("POST", "/v1/undo", "Undo a range of writes", UndoAnswer, UndoRequest, (409, *NAMING)),
    Operation("GET", "/v1/snapshots", "The newest snapshots", SnapshotsAnswer, None, (422,), SnapshotsQuery),
    Operation("POST", "/v1/snapshots", "Have snapshots made", AskedSnapshots, SnapshotRequest, status=202),
    Operation(
        "POST",
        "/v1/snapshots/verify",
        "Have every byte of the newest snapshots read",
        VerifyingSnapshots,
        VerificationRequest,
        status=202,
    ),
    Operation("GET", "/v1/slots", "Both slots with their builds", SlotsAnswer),
    Operation("GET", "/v1/status", "The slot's build, head, shards and replicas", StatusAnswer),
)
EVERY = (401, 403, 421, 429, 503)


@cache
def encoded() -> bytes:
    """Return the document as JSON, made once: callers without a key may ask for it at any rate."""
    return msgspec.json.encode(document())


def document() -> dict[str, Any]:
    shapes = [one.answer for one in OPERATIONS] + [one.body for one in OPERATIONS if one.body is not None]
    _, components = msgspec.json.schema_components([*dict.fromkeys(shapes), ProblemDetails], ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "vectorfleet", "version": VERSION, "summary": "Vector search over documents"},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "vf_<name>_<secret>"}},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": one.summary.lower().replace(" ", "_").replace("'", "").replace(",", ""),
        "summary": one.summary,
        "responses": {str(one.status): _answer(one.answer)}
        | {str(s): _problem(s) for s in sorted({*EVERY, *(SENDING if one.body else ()), *one.refusals})},
    }
    in_query = _in_query(one.body if one.raw else one.query)
    described["parameters"] = [*_in_path(one.path), *in_query, NAMED_SLOT]
    if one.body is not None:
        content: dict[str, Any] = {JSON: {"schema": _reference(one.body)}}
        if one.raw:
            content[RAW] = {"schema": {"type": "string", "format": "binary", "description": RAW_VECTOR}}
        described["requestBody"] = {"required": True, "content": content}
    return described


NAMED_SLOT = {"name": SLOT_HEADER, "in": "header", "required": False, "schema": {"enum": list(SLOTS)}}
IN_PATH: dict[str, Any] = {
    "source_id": {"type": "string", "minLength": 1, "maxLength": MAX_SOURCE_ID},
    "name": {"type": "string", "pattern": f"^{REFERENCE_PATTERN}$"},
}


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in IN_PATH.items()
        if f"{{{name}}}" in path
    ]


def _in_query(shape: type | None) -> list[dict[str, Any]]:
    if shape is None:
        return []
    schema = msgspec.json.schema(shape)["$defs"][shape.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": one}
        for name, one in schema.items()
        if name not in ONLY_IN_BODIES
    ]


def _answer(shape: type) -> dict[str, Any]:
    return {"description": "The answer.", "content": {JSON: {"schema": _reference(shape)}}}


def _problem(status: int) -> dict[str, Any]:
    return {"description": SAID[status], "content": {PROBLEM: {"schema": _reference(ProblemDetails)}}}


def _reference(shape: type) -> dict[str, str]:
    return {"$ref": REFERENCE.format(name=shape.__name__)}
