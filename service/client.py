"""A client of the public API, for load tests, drills and callers in Python."""

from __future__ import annotations

import base64
import json
import os
import sys
from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from vectorfleet.api_key import KEY_VARIABLE
from vectorfleet.slots import slot_header

CONNECTIONS = 8


class Unanswered(Exception):
    """A request without a reply. `sent` is False if no connection was made, so that the service can't have it."""

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent

    @property
    def not_written(self) -> bool:
        """It is certain that a write is not stored."""
        return not self.sent


class ServiceError(Exception):
    """A refusal or a failure, in the service's words; `outcome` says whether a write is stored, where it is known."""

    def __init__(self, status: int, title: str, detail: str, outcome: str | None) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.outcome = outcome

    @property
    def not_written(self) -> bool:
        """It is certain that a write is not stored."""
        refused = 400 <= self.status < 500 and self.status != HTTPStatus.REQUEST_TIMEOUT
        return refused or self.outcome == "not_written"


def key_header() -> dict[str, str]:
    """Return the header with the key of VECTORFLEET_KEY; empty if there is no key."""
    key = os.environ.get(KEY_VARIABLE, "")
    return {"Authorization": f"Bearer {key}"} if key else {}


class Client:
    """
    Calls to one endpoint with the key of VECTORFLEET_KEY, on `collection` unless a call names another one.

    With a `slot` they go to that slot, and are a ServiceError 421 if another one would answer. Without it the load
    balancer's weights choose.

    Nothing is retried, so that a caller that measures sees every failure. Several threads may share a client. Without
    `keep_alive` each request has its own connection, which a broken one can't spoil.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        timeout_seconds: float = 30.0,
        connect_timeout_seconds: float | None = None,
        connections: int = CONNECTIONS,
        keep_alive: bool = True,
        collection: str = "",
        slot: str = "",
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._bound_to = collection
        self._headers = key_header() | slot_header(slot) | ({} if keep_alive else {"Connection": "close"})
        timeout = urllib3.Timeout(total=timeout_seconds, connect=connect_timeout_seconds)
        self._new_pool = partial(urllib3.PoolManager, maxsize=connections, timeout=timeout, retries=False)
        self._pool = self._new_pool() if keep_alive else None

    def collections(self) -> dict[str, Any]:
        """List the collections: {"position", "collections": [{"name", "id", "source", …}]}."""
        return self._call("GET", "/v1/collections", None)

    def collection(self, name: str) -> dict[str, Any]:
        """Return a collection: {"name", "id", "source", …}; raise ServiceError 404 or 410 if there is none."""
        return self._call("GET", f"/v1/collections/{_segment(name)}", None)

    def create_collection(
        self,
        name: str,
        *,
        dims: int | None = None,
        model: str | None = None,
        index: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """
        Create a collection: of vectors if `dims` is given, else of texts. Returns the collection.

        The same collection may exist already; another one of that name is a ServiceError with status 409.
        """
        chosen = {"source": "text" if dims is None else "vector", "dims": dims, "model": model, "index": index}
        body = {key: value for key, value in chosen.items() if value is not None}
        return self._call("PUT", f"/v1/collections/{_segment(name)}", body)

    def drop_collection(self, name: str) -> dict[str, Any]:
        """Drop a collection with all its documents; {"name", "id", "position"}."""
        return self._call("DELETE", f"/v1/collections/{_segment(name)}", None)

    def write(self, documents: Sequence[Mapping[str, Any]], *, model: str = "", collection: str = "") -> dict[str, Any]:
        """
        Store documents (`source_id`, `title`, `text`, `vector`, `metadata`, or `delete`); {"position", "results"}.

        A document without a request_id gets one, so that sending it again writes it once. `model`, as "name/version",
        is the model of the vectors: the fleet refuses vectors of another one.
        """
        named = [{"request_id": uuid4().hex} | _plain(document) for document in documents]
        of = ({"model": model} if model else {}) | self._of(collection)
        return self._call("POST", "/v1/documents", {"documents": named} | of)

    def delete(self, source_id: str, *, collection: str = "") -> dict[str, Any]:
        """Delete one document."""
        return self.write([{"source_id": source_id, "delete": True}], collection=collection)

    def lookup(
        self, source_ids: Sequence[str], min_position: int | None = None, *, collection: str = ""
    ) -> dict[str, Any]:
        """Look documents up: {"position", "documents": {source_id: place or None}}."""
        asked = {"source_ids": list(source_ids)} | _position(min_position) | self._of(collection)
        return self._call("POST", "/v1/documents/lookup", asked)

    def document(self, source_id: str, min_position: int | None = None, *, collection: str = "") -> dict[str, Any]:
        """Return a document as last written; raise ServiceError with status 404 if there is none."""
        query = urlencode(_position(min_position) | self._of(collection))
        return self._call("GET", f"/v1/documents/{_segment(source_id)}?{query}", None)

    def search(
        self,
        *,
        text: str | None = None,
        vector: Sequence[float] | None = None,
        k: int = 10,
        exact: bool = False,
        min_position: int | None = None,
        filter: Mapping[str, Any] | None = None,
        collection: str = "",
    ) -> dict[str, Any]:
        """
        Return the nearest documents of a collection that `filter` lets through:
        {"hits", "shards_total", "shards_answered", "partial", "position"}.
        """
        query = {"text": text} if text is not None else {"vector": _base64(() if vector is None else vector)}
        more = {"k": k, "exact": exact} | ({} if filter is None else {"filter": filter})
        return self._call("POST", "/v1/search", query | more | _position(min_position) | self._of(collection))

    def _of(self, collection: str) -> dict[str, str]:
        named = collection or self._bound_to
        return {"collection": named} if named else {}

    def undo(
        self,
        first: int | str,
        last: int | str,
        *,
        only_deletes: bool = False,
        source_prefix: str = "",
        collection: str = "",
        dry_run: bool = False,
        request_id: str = "",
    ) -> dict[str, Any]:
        """
        Undo the writes from one position or time to another, both included: {"position", "writes", "restored", …}.

        Without a `collection` those of all count. With `dry_run` nothing is changed, and `position` is None.
        """
        body = {
            "from": first,
            "to": last,
            "only_deletes": only_deletes,
            "source_prefix": source_prefix,
            "dry_run": dry_run,
            "request_id": request_id or uuid4().hex,
        }
        return self._call("POST", "/v1/undo", body | ({"collection": collection} if collection else {}))

    def snapshots(self, limit: int = 5) -> dict[str, Any]:
        """Return the newest snapshots of each shard: {"build", "shards": [{"shard", "total", "newest"}]}."""
        return self._call("GET", f"/v1/snapshots?{urlencode({'limit': limit})}", None)

    def take_snapshots(self, min_position: int | None = None) -> dict[str, Any]:
        """Have snapshots made: {"build", "shards": [{"shard", "position"}]}, each position at least."""
        return self._call("POST", "/v1/snapshots", _position(min_position))

    def verify_snapshots(self, limit: int = 1) -> dict[str, Any]:
        """Have every byte of the newest snapshots read: {"build", "shards"} lists them as they were before."""
        return self._call("POST", "/v1/snapshots/verify", {"limit": limit})

    def slots(self) -> dict[str, Any]:
        """Return both slots with their builds: {"slots": [{"slot", "build"}]}."""
        return self._call("GET", "/v1/slots", None)

    def status(self) -> dict[str, Any]:
        """Return the slot's build, head, shards and replicas."""
        return self._call("GET", "/v1/status", None)

    def _call(self, method: str, path: str, body: object) -> dict[str, Any]:
        encoded = None if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": "application/json"} if encoded else {})
        # A pool of its own, since a server may end a connection without having said so in its answer.
        pool = self._pool or self._new_pool()
        try:
            answer = pool.request(method, self.endpoint + path, body=encoded, headers=headers)
        except HTTPError as error:
            sent = not isinstance(error, (NewConnectionError, ConnectTimeoutError))
            raise Unanswered(f"{method} {self.endpoint}{path}: {error}", sent=sent) from error
        return _result(answer.status, answer.data)


def _segment(name: str) -> str:
    """Encode any text as one segment of a path; `.` and `..` by themselves would be removed on the way."""
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe="")


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    vector = document.get("vector")
    coded = {} if vector is None or isinstance(vector, str) else {"vector": _base64(vector)}
    return dict(document) | coded


def _base64(vector: Sequence[float]) -> str:
    """Encode as little-endian float32: a third of the size of numbers in JSON, and a tenth of the time."""
    numbers = array("f", [float(x) for x in vector])
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _position(min_position: int | None) -> dict[str, int]:
    return {} if min_position is None else {"min_position": min_position}


def _result(status: int, content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        body = {}
    if status in (200, 202) and isinstance(body, dict):
        return body
    title = str(body.get("title", "")) if isinstance(body, dict) else ""
    detail = str(body.get("detail", "")) if isinstance(body, dict) else ""
    outcome = body.get("outcome") if isinstance(body, dict) else None
    raise ServiceError(status, title or "no problem given", detail or content[:200].decode(errors="replace"), outcome)
