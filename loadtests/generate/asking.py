"""Requests of a run and their records: searches, writes, and probes of the null endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from loadtests.judge.failures import LATE, cause_of, is_own, kind_of, named, no_answer, refused
from loadtests.run.evidence import Arrival, Outcome, Probe, WriteBatch
from loadtests.run.queries import QuerySet
from loadtests.run.schedule import Due

UNSENT = "unsent: too many in flight"


@dataclass(frozen=True)
class Answer:
    """The parts of a reply that the gate needs; ``problem`` is empty for a proper answer."""

    outcome: Outcome
    source_ids: tuple[str, ...] = ()
    partial: bool = False
    problem: str = ""


def read_answer(status: int, body: bytes | None, error: BaseException | None) -> Answer:
    """Return the answer to a search; all but status 200 with a list of hits is a failure."""
    if error is not None:
        outcome, reason = no_answer(error)
        return Answer(outcome, problem=reason)
    if status != 200:
        return Answer("failed", problem=refused(status, body))
    try:
        reply = json.loads(body or b"")
        hits = tuple(str(hit["source_id"]) for hit in reply["hits"])
    except (ValueError, KeyError, TypeError):
        return Answer("failed", problem="not an answer to a search")
    return Answer("answered", hits, bool(reply.get("partial")))


class Asker:
    """The sender of requests through one Locust session, timed from their planned instant."""

    def __init__(
        self,
        session: Any,
        epoch_seconds: float,
        queries: QuerySet,
        timeout_seconds: float,
        headers: dict[str, str],
        collection: str = "",
    ) -> None:
        self._session = session
        self._epoch_seconds = epoch_seconds
        self._queries = queries
        self._timeout_seconds = timeout_seconds
        self._headers = headers
        self._collection = {"collection": collection} if collection else {}

    def search(self, due: Due, keep: Callable[[Arrival], None]) -> None:
        """Search, and keep exactly one record, even if this greenlet is killed while it waits."""
        record = Arrival(due.number, due.offset_seconds, self._queries.pick(due.draw), "timeout", reason=LATE)
        try:
            record = self._search(due)
        except Exception as error:
            record = replace(record, outcome="raised", reason=named(error))
        finally:
            keep(record)

    def unsent(self, due: Due) -> Arrival:
        """Return the record of a search without room in flight; Locust's table shows it as a failure."""
        self._session.request_event.fire(
            request_type="POST",
            name="search",
            response_time=None,
            response_length=0,
            exception=RuntimeError(UNSENT),
            context={},
        )
        return Arrival(due.number, due.offset_seconds, self._queries.pick(due.draw), "unsent", reason=UNSENT)

    def probe(self, due: Due, session: Any) -> Probe:
        """Ask the null endpoint through a session to it."""
        reply = session.get("/")
        took_ms = self._since_ms(due)
        return Probe(due.number, due.offset_seconds, took_ms if reply.status_code == 200 else None)

    def write(self, due: Due, documents: list[dict[str, Any]], first: int) -> WriteBatch:
        """Write a batch of documents; the record names an error of the generator itself."""
        try:
            return self._write(due, documents, first)
        except Exception as error:
            return WriteBatch(first, due.offset_seconds, len(documents), 0, None, reason=named(error), raised=True)

    def _write(self, due: Due, documents: list[dict[str, Any]], first: int) -> WriteBatch:
        body = {"documents": documents} | self._collection
        sent, sent_at, lag_ms = time.perf_counter(), time.time(), self._since_ms(due)
        with self._session.post(
            "/v1/documents", json=body, headers=self._headers, name="write", catch_response=True
        ) as reply:
            seconds = time.perf_counter() - sent
            error = cause_of(reply.request_meta.get("exception"))
            # An answer that broke off leaves open whether the documents are stored.
            status = 0 if error else reply.status_code or 0
            reason = no_answer(error)[1] if error else "" if status == 200 else refused(status, reply.content)
            if reason:
                reply.failure(kind_of(reason))
            position = _position(reply.content) if status == 200 else None
            raised = error is not None and is_own(error)
            return WriteBatch(
                first,
                due.offset_seconds,
                len(documents),
                status,
                seconds,
                position,
                reason,
                sent_at,
                lag_ms,
                raised=raised,
            )

    def _search(self, due: Due) -> Arrival:
        index = self._queries.pick(due.draw)
        body = self._queries.queries[index].asked | {"k": self._queries.k} | self._collection
        lag_ms, sent = self._since_ms(due), time.perf_counter()
        with self._session.post(
            "/v1/search", json=body, headers=self._headers, name="search", catch_response=True
        ) as reply:
            service_ms, response_ms = (time.perf_counter() - sent) * 1000, self._since_ms(due)
            reply.request_meta["response_time"] = response_ms
            error = cause_of(reply.request_meta.get("exception"))
            # An answer that broke off has a status and half a body, which may not even decompress.
            answer = read_answer(reply.status_code or 0, None if error else reply.content, error)
            if answer.outcome == "answered" and service_ms > self._timeout_seconds * 1000:
                answer = Answer("timeout", problem=LATE)
            judged = answer.outcome == "answered"
            least = self._queries.least_hits(index)
            short = judged and len(set(answer.source_ids)) < least
            problem = f"fewer than {least} hits" if short else answer.problem
            if problem:
                reply.failure(kind_of(problem))
        return Arrival(
            number=due.number,
            offset_seconds=due.offset_seconds,
            query=index,
            outcome=answer.outcome,
            status=reply.status_code or 0,
            lag_ms=lag_ms,
            response_ms=response_ms,
            service_ms=service_ms,
            partial=answer.partial,
            short=short,
            ranking=self._queries.ranking(index, answer.source_ids) if judged else None,
            answered_at=time.time(),
            reason=problem,
        )

    def _since_ms(self, due: Due) -> float:
        return (time.perf_counter() - self._epoch_seconds - due.offset_seconds) * 1000


def _position(body: bytes | None) -> int | None:
    try:
        return int(json.loads(body or b"")["position"])
    except (ValueError, KeyError, TypeError):
        return None
