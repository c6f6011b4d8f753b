"""One request of the observer and what its reply proves; a write's outcome is never guessed.

The service's own client tells one thing too little here: a request that never found a connection is
certainly not stored, one without a reply may be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from service.client import key_header

CONNECT_TIMEOUT_SECONDS = 2.0
POOL_SIZE = 256  # as many as an observer has in flight

SearchOutcome = Literal["right", "partial", "wrong", "failed"]
WriteOutcome = Literal["acknowledged", "failed", "unknown"]


@dataclass(frozen=True)
class Answer:
    """What came back. `status` is 0 without a reply; then `sent` says whether the service may have it."""

    status: int
    body: Mapping[str, Any]
    sent: bool
    detail: str


@dataclass(frozen=True)
class Searched:
    outcome: SearchOutcome
    status: int
    detail: str


@dataclass(frozen=True)
class Written:
    """`position` and `item` are there when the write is acknowledged."""

    outcome: WriteOutcome
    status: int
    position: int | None
    item: int | None
    detail: str


class Exchange:
    """Sends requests to one endpoint, each on its own connection, so that a broken one can't spoil the
    next. Safe to use from several threads."""

    def __init__(self, endpoint: str, timeout_seconds: float) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds), read=timeout_seconds)
        self._headers = {"Content-Type": "application/json", "Connection": "close"} | key_header()
        self._pool = urllib3.PoolManager(retries=False, maxsize=POOL_SIZE)

    def search(self, text: str, wanted: str, min_position: int | None = None) -> Searched:
        """Ask a text; right means complete, and the wanted source_id is the first hit."""
        body = {"text": text, "k": 3} | ({"min_position": min_position} if min_position else {})
        answer = self._post("/v1/search", body)
        if answer.status != 200:
            return Searched("failed", answer.status, answer.detail)
        answered, total = answer.body.get("shards_answered"), answer.body.get("shards_total")
        if answer.body.get("partial") is not False or answered != total or not total:
            return Searched("partial", 200, f"{answered} of {total} shards answered")
        first = _first_hit(answer.body)
        return Searched("right" if first == wanted else "wrong", 200, f"first hit {first}")

    def write(self, document: Mapping[str, Any]) -> Written:
        """Send one document or delete."""
        return self.write_all([document])[0]

    def write_all(self, documents: list[Mapping[str, Any]]) -> list[Written]:
        """Send a batch; each document shares the request's outcome, and has a place of its own."""
        answer = self._post("/v1/documents", {"documents": documents})
        outcome = _write_outcome(answer)
        position = answer.body.get("position") if outcome == "acknowledged" else None
        results = answer.body.get("results") if outcome == "acknowledged" else None
        if outcome == "acknowledged" and not _complete(documents, position, results):
            # Stored perhaps, but nothing in this reply says where.
            return [Written("unknown", 200, None, None, "a 200 without position and items")] * len(documents)
        if not results:
            return [Written(outcome, answer.status, None, None, answer.detail)] * len(documents)
        # A router of an earlier version gives one position for all.
        places = [(result.get("position", position), result.get("item")) for result in results]
        return [Written(outcome, answer.status, *place, answer.detail) for place in places]

    def _post(self, path: str, body: Mapping[str, Any]) -> Answer:
        content = json.dumps(body).encode()
        try:
            reply = self._pool.request(
                "POST",
                self.endpoint + path,
                body=content,
                headers=self._headers,
                timeout=self._timeout,
                redirect=False,
            )
        except (NewConnectionError, ConnectTimeoutError) as error:
            return Answer(0, {}, False, f"no connection: {type(error).__name__}")
        except HTTPError as error:
            return Answer(0, {}, True, f"no reply: {type(error).__name__}")
        found = _json_object(reply.data)
        return Answer(reply.status, found, True, str(found.get("detail") or found.get("title") or ""))


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _first_hit(body: Mapping[str, Any]) -> str | None:
    hits = body.get("hits")
    return str(hits[0].get("source_id")) if hits else None


def _complete(documents: list[Mapping[str, Any]], position: object, results: object) -> bool:
    whole = isinstance(results, list) and len(results) == len(documents)
    return isinstance(position, int) and position >= 1 and whole


def _write_outcome(answer: Answer) -> WriteOutcome:
    """A write failed only when the reply, or the missing connection, proves that it is not stored."""
    if answer.status == 200:
        return "acknowledged"
    refused = 400 <= answer.status < 500 and answer.status != 408
    if refused or not answer.sent or answer.body.get("outcome") == "not_written":
        return "failed"
    return "unknown"
