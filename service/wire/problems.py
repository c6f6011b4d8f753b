"""Errors as RFC 9457 problem details: what was given, what is allowed, what to do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from http import HTTPStatus

import msgspec
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route


class Problem(Exception):
    """An error for the caller; `extra` has further members, such as a write's `outcome`."""

    def __init__(self, status: int, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.extra = extra


request_id: ContextVar[str] = ContextVar("request_id", default="")
ABANDONED = Counter("vectorfleet_requests_abandoned_total", "Requests whose caller left before their body was whole")
CLIENT_CLOSED_REQUEST = 499  # nginx's status for it
log = logging.getLogger(__name__)
NO_HEADERS: Mapping[str, str] = {}


def problem_response(
    status: int, detail: str, extra: Mapping[str, object], headers: Mapping[str, str] = NO_HEADERS
) -> Response:
    """Return a problem as a response; `retry_after_seconds` also becomes the header."""
    named = {"request_id": request_id.get()} if request_id.get() else {}
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra, **named}
    headers = dict(headers)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers["Accept-Encoding"] = "identity"
    if "retry_after_seconds" in extra:
        headers["Retry-After"] = str(extra["retry_after_seconds"])
    return Response(
        msgspec.json.encode(body), status_code=status, headers=headers, media_type="application/problem+json"
    )


async def answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error.status, error.detail, error.extra)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer Starlette's own errors: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    headers = error.headers or NO_HEADERS
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_allowed(request))}
        detail += f"; allowed: {headers['Allow']}"
    return problem_response(error.status_code, detail, {}, headers)


def _allowed(request: Request) -> list[str]:
    """Return the methods of every route of a path: Starlette names only those of the first."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in routes if isinstance(route, Route) for method in route.methods or ()})


async def answer_departure(_: Request, error: Exception) -> Response:
    """Count a caller that left before its body was whole; the answer has no receiver."""
    assert isinstance(error, ClientDisconnect)
    ABANDONED.inc()
    log.info("a caller left while it was sending", extra={"request_id": request_id.get()})
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def answer_fault(request: Request, _: Exception) -> Response:
    """Answer every other error: its details are for the log, not for the caller."""
    log.error(
        "a request failed by a fault of the service", extra={"request_id": request_id.get(), "path": request.url.path}
    )
    detail = f"{request.method} {request.url.path}: a fault of the service; its log has the details"
    return problem_response(500, detail, {})
