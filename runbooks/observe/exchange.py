"""Requests of the observer, and the outcome that a reply proves; a write's outcome is never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from service.client import Client, ServiceError, Unanswered

CONNECT_TIMEOUT_SECONDS = 2.0
CONNECTIONS = 256  # as many as an observer has in flight

Outcome = Literal["right", "partial", "wrong", "acknowledged", "failed", "unknown"]


@dataclass(frozen=True)
class Reply:
    """The outcome of a search or a write, with status 0 if none came; an acknowledged write has position and item."""

    outcome: Outcome
    status: int
    detail: str
    position: int | None = None
    item: int | None = None


class Exchange:
    """Requests to one endpoint and slot, each on its own connection. Safe to use from several threads."""

    def __init__(self, endpoint: str, timeout_seconds: float, slot: str = "") -> None:
        self._client = Client(
            endpoint,
            timeout_seconds=timeout_seconds,
            connect_timeout_seconds=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds),
            connections=CONNECTIONS,
            keep_alive=False,
            slot=slot,
        )

    def search(self, text: str, wanted: str, min_position: int | None = None) -> Reply:
        """Search for a text; right means complete, with the wanted source_id as the first hit."""
        try:
            answer = self._client.search(text=text, k=3, min_position=min_position)
        except (ServiceError, Unanswered) as error:
            return _without(error, "failed")
        answered, total = answer.get("shards_answered"), answer.get("shards_total")
        if answer.get("partial") is not False or answered != total or not total:
            return Reply("partial", 200, f"{answered} of {total} shards answered")
        hits = answer.get("hits")
        first = str(hits[0].get("source_id")) if hits else None
        return Reply("right" if first == wanted else "wrong", 200, f"first hit {first}")

    def write(self, document: Mapping[str, Any]) -> Reply:
        """Send one document or delete."""
        return self.write_all([document])[0]

    def write_all(self, documents: Sequence[Mapping[str, Any]]) -> list[Reply]:
        """Send a batch; all documents have the request's outcome, each its own position and item."""
        try:
            answer = self._client.write(documents)
        except (ServiceError, Unanswered) as error:
            return [_without(error, "failed" if error.not_written else "unknown")] * len(documents)
        position, results = answer.get("position"), answer.get("results")
        whole = isinstance(results, list) and len(results) == len(documents)
        if not whole or not isinstance(position, int) or position < 1:
            # It may be stored, but this reply does not say at which position.
            return [Reply("unknown", 200, "a 200 without position and items")] * len(documents)
        # Routers of an earlier version return one position for all.
        places = [(result.get("position", position), result.get("item")) for result in answer["results"]]
        return [Reply("acknowledged", 200, "", *place) for place in places]


def _without(error: ServiceError | Unanswered, outcome: Outcome) -> Reply:
    if isinstance(error, ServiceError):
        return Reply(outcome, error.status, error.detail)
    return Reply(outcome, 0, f"no {'reply' if error.sent else 'connection'}: {type(error.__cause__).__name__}")
