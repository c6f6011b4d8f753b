"""A small client of the public API, for load tests, drills and people."""

from __future__ import annotations

import base64
import json
import os
import sys
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import urllib3

CONNECTIONS = 8
KEY_VARIABLE = "VECTORFLEET_KEY"
KEY_FILE = "key"


class Unanswered(Exception):
    """No reply came: whether a write happened is unknown."""


class ServiceError(Exception):
    """The service refused or failed: `status`, `title` and `detail` are its words, `outcome` is a write's fate."""

    def __init__(self, status: int, title: str, detail: str, outcome: str | None) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.outcome = outcome


def find_key(outputs: Path) -> None:
    """For this process and its children: VECTORFLEET_KEY, unless set, from the file `key` beside a stack's outputs."""
    path = outputs.with_name(KEY_FILE)
    if KEY_VARIABLE not in os.environ and path.is_file():
        os.environ[KEY_VARIABLE] = path.read_text(encoding="utf-8").strip()


def key_header() -> dict[str, str]:
    """The header with the key of VECTORFLEET_KEY; none where there is no key."""
    key = os.environ.get(KEY_VARIABLE, "")
    return {"Authorization": f"Bearer {key}"} if key else {}


class Client:
    """
    Calls to one endpoint with the key of VECTORFLEET_KEY, about one `collection` where a call names no other.

    Nothing is retried: a caller that measures must see every failure.
    """

    def __init__(self, endpoint: str, *, timeout_seconds: float = 30.0, collection: str = "") -> None:
        self.endpoint = endpoint.rstrip("/")
        self._bound_to = collection
        self._pool = urllib3.PoolManager(
            maxsize=CONNECTIONS,
            timeout=urllib3.Timeout(total=timeout_seconds),
            retries=False,
            headers=key_header(),
        )

    def collections(self) -> dict[str, Any]:
        """Which collections there are: {"position", "collections": [{"name", "id", "source", …}]}."""
        return self._call("GET", "/v1/collections", None)

    def collection(self, name: str) -> dict[str, Any]:
        """One collection: {"name", "id", "source", …}; ServiceError with status 404 or 410 where there is none."""
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
        Have a collection of a name: of vectors where `dims` is given, else of texts. Returns what it is.

        The very same may be there already; with another kind of that name it is ServiceError, status 409.
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

        A document without a request_id gets one, so that a caller who sends it again writes it once. `model`, as
        "name/version", is what the vectors are of: the fleet refuses another one's.
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
        """What the fleet holds of these documents: {"position", "documents": {source_id: place or None}}."""
        asked = {"source_ids": list(source_ids)} | _position(min_position) | self._of(collection)
        return self._call("POST", "/v1/documents/lookup", asked)

    def document(self, source_id: str, min_position: int | None = None, *, collection: str = "") -> dict[str, Any]:
        """A document as it was last written; ServiceError with status 404 where there is none."""
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
        The nearest documents of a collection, of those that `filter` lets through.

        {"hits", "shards_total", "shards_answered", "partial", "position"}.
        """
        query = {"text": text} if text is not None else {"vector": _base64(() if vector is None else vector)}
        more = {"k": k, "exact": exact} | ({} if filter is None else {"filter": filter})
        return self._call("POST", "/v1/search", query | more | _position(min_position) | self._of(collection))

    def _of(self, collection: str) -> dict[str, str]:
        named = collection or self._bound_to
        return {"collection": named} if named else {}

    def snapshots(self, limit: int = 5) -> dict[str, Any]:
        """The newest snapshots of each shard: {"build", "shards": [{"shard", "total", "newest"}]}."""
        return self._call("GET", f"/v1/snapshots?{urlencode({'limit': limit})}", None)

    def take_snapshots(self, min_position: int | None = None) -> dict[str, Any]:
        """Have snapshots made; {"build", "shards": [{"shard", "position"}]} says what they will have at least."""
        return self._call("POST", "/v1/snapshots", _position(min_position))

    def verify_snapshots(self, limit: int = 1) -> dict[str, Any]:
        """Have every byte of the newest snapshots read; {"build", "shards"} lists them as they were before."""
        return self._call("POST", "/v1/snapshots/verify", {"limit": limit})

    def slots(self) -> dict[str, Any]:
        """Both slots with their builds: {"slots": [{"slot", "build"}]}."""
        return self._call("GET", "/v1/slots", None)

    def status(self) -> dict[str, Any]:
        """The slot's build, head, shards and replicas."""
        return self._call("GET", "/v1/status", None)

    def _call(self, method: str, path: str, body: object) -> dict[str, Any]:
        encoded = None if body is None else json.dumps(body).encode()
        headers = dict(self._pool.headers) | ({"Content-Type": "application/json"} if encoded else {})
        try:
            answer = self._pool.request(method, self.endpoint + path, body=encoded, headers=headers)
            content = answer.data
        except urllib3.exceptions.HTTPError as error:
            raise Unanswered(f"{method} {self.endpoint}{path}: {error}") from error
        return _result(answer.status, content)


def _segment(name: str) -> str:
    """Encode any text as one segment of a path; `.` and `..` by themselves would be taken out of it on the way."""
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe="")


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    vector = document.get("vector")
    coded = {} if vector is None or isinstance(vector, str) else {"vector": _base64(vector)}
    return dict(document) | coded


def _base64(vector: Sequence[float]) -> str:
    """Little-endian float32, which takes a third of what numbers in JSON take, and a tenth of the time."""
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
