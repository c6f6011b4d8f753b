"""Reasons of failed requests, and the number of failures of each kind."""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
import traceback
import zlib
from collections import Counter
from collections.abc import Iterable

from geventhttpclient._parser import HTTPParseError
from geventhttpclient.response import HTTPConnectionClosed
from geventhttpclient.useragent import ConnectionError as ClientError
from geventhttpclient.useragent import RetriesExceeded

from loadtests.run.evidence import Arrival, Outcome, WriteBatch

LATE = "no answer in time"
_OWN_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
_MOST_KINDS, _SHOWN_KINDS = 20, 5
_MOST_CHARACTERS = 200
_FIGURE = re.compile(r"\b\d[\d.,]*\b")
_ENDED = re.compile("EOF|Incomplete|closed")
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection reset"),
    (BrokenPipeError, "connection closed while the request was sent"),
    (HTTPConnectionClosed, "connection closed before the answer"),
    (zlib.error, "malformed answer: its compression is broken"),
    (RetriesExceeded, "redirected too often"),
)


def cause_of(error: BaseException | None) -> BaseException | None:
    """Return the cause of an error of the HTTP client; None if there was an answer, whose status is the reason."""
    if isinstance(error, RetriesExceeded):
        # The client wraps a time-out in this even without a second attempt.
        original: BaseException | None = getattr(error, "original", None)
        return original or error
    if isinstance(error, HTTPConnectionClosed) and isinstance(error.__context__, ConnectionResetError):
        return error.__context__
    return None if isinstance(error, ClientError) else error


def no_answer(error: BaseException) -> tuple[Outcome, str]:
    """Return the outcome of a request that ended with this cause, and the reason."""
    if isinstance(error, TimeoutError):
        frames = traceback.extract_tb(error.__traceback__)
        connecting = any(frame.name == "_create_socket" for frame in frames)
        return "timeout", "no connection in time" if connecting else LATE
    if is_own(error):
        return "raised", named(error)
    if isinstance(error, ssl.SSLError):
        return "failed", f"TLS: {error.reason or error}"
    known = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "")
    if not known and isinstance(error, HTTPParseError):
        known = "connection closed within the answer" if _ENDED.search(str(error)) else "malformed answer"
    return "failed", known or named(error)


def is_own(error: BaseException) -> bool:
    """Return whether the generator failed: it had no socket, port or memory, or no address to send to."""
    return isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in _OWN_ERRORS)


def named(error: BaseException) -> str:
    """Return the kind and the message of an error."""
    return f"{type(error).__name__}: {error}"[:_MOST_CHARACTERS]


def refused(status: int, body: bytes | None) -> str:
    """Return the reason of an answer that is not 200: its status, and the detail of a problem document."""
    try:
        detail = f": {json.loads(body or b'')['detail']}"
    except (ValueError, KeyError, TypeError):
        detail = ""
    return f"status {status}{detail}"[:_MOST_CHARACTERS]


def kind_of(reason: str) -> str:
    """Return a reason without its figures, so that reasons that differ only in figures are one kind."""
    head, colon, detail = reason.partition(": ")
    return head + colon + _FIGURE.sub("N", detail)


def count_kinds(arrivals: Iterable[Arrival], writes: Iterable[WriteBatch]) -> tuple[tuple[str, int], ...]:
    """Return the failures of each kind, the most frequent first; kinds beyond the first twenty are one."""
    counts = Counter(f"search: {kind}" for arrival in arrivals if (kind := _kind_of_search(arrival)))
    counts.update(f"write: {kind_of(batch.reason or _status(batch))}" for batch in writes if batch.status != 200)
    return _first(counts, _MOST_KINDS)


def summary(kinds: Iterable[tuple[str, int]]) -> str:
    """Return the counts of several runs as a clause; empty if nothing failed."""
    total = Counter[str]()
    for kind, count in kinds:
        total[kind] += count
    return "; ".join(f"{count:,} × {kind}" for kind, count in _first(total, _SHOWN_KINDS))


def _kind_of_search(arrival: Arrival) -> str:
    if arrival.partial:
        return "a shard did not answer"
    if arrival.outcome == "answered":
        return kind_of(arrival.reason)
    return kind_of(arrival.reason or _status(arrival) or arrival.outcome)


def _status(record: Arrival | WriteBatch) -> str:
    """Return the reason for evidence of older versions, which has only a status."""
    return f"status {record.status}" if record.status not in (0, 200) else ""


def _first(counts: Counter[str], most: int) -> tuple[tuple[str, int], ...]:
    ordered = counts.most_common()
    rest = sum(count for _, count in ordered[most:])
    return (*ordered[:most], *([("other kinds", rest)] if rest else []))
