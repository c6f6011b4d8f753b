"""Errors are problem details: title, status, detail, and what else a caller needs; never a traceback."""

from __future__ import annotations

import json
import logging

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.serving import Service
from service.wire.bodies import body_of
from service.wire.problems import ABANDONED, CLIENT_CLOSED_REQUEST, Problem, problem_response
from tests.service.asking import asked


async def _refuse(_: Request) -> Response:
    raise Problem(429, "too much waits; send again later", outcome="not_written", retry_after_seconds=3)


async def _crash(_: Request) -> Response:
    raise ZeroDivisionError("secret of the inside")


async def _take(request: Request) -> Response:
    return Response(bytes(await body_of(request, 100)))


ROUTES = [
    Route("/refuse", _refuse),
    Route("/crash", _crash),
    Route("/things/{name:path}", _take),
    Route("/things/{name:path}", _take, methods=["PUT", "DELETE"]),
    Route("/things/special", _take, methods=["POST"]),
]
SERVICE = Service(ROUTES, lambda: (False, {"ready": False}), [])


def test_a_problem_has_its_title_status_detail_and_members() -> None:
    response = problem_response(503, "no shard answered", {"shards_total": 2})
    assert response.media_type == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "title": "Service Unavailable",
        "status": 503,
        "detail": "no shard answered",
        "shards_total": 2,
    }
    assert "retry-after" not in response.headers


def test_a_raised_problem_is_the_answer_with_retry_after() -> None:
    status, headers, body = asked(SERVICE, "/refuse")
    assert (status, headers["content-type"], headers["retry-after"]) == (429, "application/problem+json", "3")
    assert json.loads(body)["outcome"] == "not_written"


def test_an_unknown_path_is_a_problem_that_names_it() -> None:
    status, headers, body = asked(SERVICE, "/nowhere")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(body)["detail"] == "GET /nowhere: Not Found"


def test_a_wrong_method_is_a_problem_that_names_the_right_ones() -> None:
    status, headers, body = asked(SERVICE, "/healthz", "POST")
    assert (status, headers["content-type"]) == (405, "application/problem+json")
    assert json.loads(body)["title"] == "Method Not Allowed"
    assert set(headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/things/one", "DELETE, GET, HEAD, PUT"), ("/things/special", "DELETE, GET, HEAD, POST, PUT")],
)
def test_a_wrong_method_is_told_those_of_every_route(path: str, methods: str) -> None:
    status, headers, body = asked(SERVICE, path, "OPTIONS")
    assert (status, headers["allow"]) == (405, methods)
    assert json.loads(body)["detail"] == f"OPTIONS {path}: Method Not Allowed; allowed: {methods}"


def test_a_slash_too_many_is_another_path_and_no_redirect() -> None:
    for path in ("/refuse/", "/healthz/"):
        status, headers, _ = asked(SERVICE, path)
        assert (status, "location" in headers) == (404, False)


@pytest.mark.parametrize("path", ["/things/%FF", "/things/a%C3", "/things/%ED%A0%80", "/nowhere/%FF"])
def test_a_path_that_is_no_text_is_refused(path: str) -> None:
    status, headers, body = asked(SERVICE, path, "DELETE")
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert f"the path {path} is not UTF-8" in json.loads(body)["detail"]


@pytest.mark.parametrize("body", [{"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}])
def test_a_body_that_the_parser_drops_is_refused(body: dict[str, str]) -> None:
    upgrade = {"Connection": "keep-alive, Upgrade", "Upgrade": "h2c"}
    status, headers, content = asked(SERVICE, "/things/one", "PUT", upgrade | body)
    assert (status, headers["connection"]) == (400, "close")
    assert "Upgrade is h2c; only HTTP/1.1 is spoken" in json.loads(content)["detail"]
    assert asked(SERVICE, "/things/one", "PUT", {"Upgrade": "h2c"} | body, b"hello")[2] == b"hello"
    status, headers, _ = asked(SERVICE, "/things/one", "GET", upgrade)
    assert (status, headers["connection"]) == (200, "close")


def test_a_caller_who_leaves_is_one_quiet_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = ABANDONED._value.get()
    status, _, body = asked(SERVICE, "/things/one", "PUT", content=None)
    assert (status, body) == (CLIENT_CLOSED_REQUEST, b"")
    assert [(one.levelname, one.message) for one in caplog.records] == [("INFO", "a caller left while it was sending")]
    assert ABANDONED._value.get() == before + 1


def test_a_fault_of_ours_is_a_problem_without_any_inside() -> None:
    status, headers, body = asked(SERVICE, "/crash")
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert json.loads(body)["title"] == "Internal Server Error"
    assert b"secret" not in body
    assert b"Traceback" not in body


def test_every_process_serves_health_readiness_and_metrics() -> None:
    assert asked(SERVICE, "/healthz")[0] == 200
    status, _, body = asked(SERVICE, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False})
    status, headers, body = asked(SERVICE, "/metrics")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert b"# TYPE" in body
