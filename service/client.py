"""A small client of the public API, for load tests, drills and people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import urllib3

CONNECTIONS = 8


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


class Client:
    """Calls to one endpoint. Nothing is retried: a caller that measures must see every failure."""

    def __init__(self, endpoint: str, *, timeout_seconds: float = 30.0) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=CONNECTIONS, timeout=urllib3.Timeout(total=timeout_seconds), retries=False
        )

    def write(self, documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """
        Store documents (`source_id`, `title`, `text`, or `delete`), and return {"position", "results"}.

        A document without a request_id gets one, so that a caller who sends it again writes it once.
        """
        named = [{"request_id": uuid4().hex} | dict(document) for document in documents]
        return self._call("POST", "/v1/documents", {"documents": named})

    def delete(self, source_id: str) -> dict[str, Any]:
        """Delete one document."""
        return self.write([{"source_id": source_id, "delete": True}])

    def lookup(self, source_ids: Sequence[str], min_position: int | None = None) -> dict[str, Any]:
        """What the fleet holds of these documents: {"position", "documents": {source_id: place or None}}."""
        return self._call("POST", "/v1/documents/lookup", {"source_ids": list(source_ids)} | _position(min_position))

    def search(
        self,
        *,
        text: str | None = None,
        vector: Sequence[float] | None = None,
        k: int = 10,
        exact: bool = False,
        min_position: int | None = None,
    ) -> dict[str, Any]:
        """The nearest documents: {"hits", "shards_total", "shards_answered", "partial", "position"}."""
        query = (
            {"text": text} if text is not None else {"vector": [float(x) for x in (() if vector is None else vector)]}
        )
        return self._call("POST", "/v1/search", query | {"k": k, "exact": exact} | _position(min_position))

    def status(self) -> dict[str, Any]:
        """The slot's build, head, shards and replicas."""
        return self._call("GET", "/v1/status", None)

    def _call(self, method: str, path: str, body: object) -> dict[str, Any]:
        encoded = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if encoded else {}
        try:
            answer = self._pool.request(method, self.endpoint + path, body=encoded, headers=headers)
            content = answer.data
        except urllib3.exceptions.HTTPError as error:
            raise Unanswered(f"{method} {self.endpoint}{path}: {error}") from error
        return _result(answer.status, content)


def _position(min_position: int | None) -> dict[str, int]:
    return {} if min_position is None else {"min_position": min_position}


def _result(status: int, content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        body = {}
    if status == 200 and isinstance(body, dict):
        return body
    title = str(body.get("title", "")) if isinstance(body, dict) else ""
    detail = str(body.get("detail", "")) if isinstance(body, dict) else ""
    outcome = body.get("outcome") if isinstance(body, dict) else None
    raise ServiceError(status, title or "no problem given", detail or content[:200].decode(errors="replace"), outcome)
