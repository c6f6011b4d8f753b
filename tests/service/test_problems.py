"""Errors are problem details: title, status, detail, and what else a caller needs; never a traceback."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.problems import Problem, problem_response
from service.serving import Service
from tests.service.asking import asked


async def _refuse(_: Request) -> Response:
    raise Problem(429, "too much waits; send again later", outcome="not_written", retry_after_seconds=3)


async def _crash(_: Request) -> Response:
    raise ZeroDivisionError("secret of the inside")


SERVICE = Service([Route("/refuse", _refuse), Route("/crash", _crash)], lambda: (False, {"ready": False}), [])


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


def test_a_fault_of_ours_is_a_problem_without_any_inside() -> None:
    status, headers, body = asked(SERVICE, "/crash")
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert json.loads(body)["title"] == "Internal Server Error"
    assert b"secret" not in body
    assert b"Traceback" not in body


def test_health_readiness_and_metrics_are_served_by_every_process() -> None:
    assert asked(SERVICE, "/healthz")[0] == 200
    status, _, body = asked(SERVICE, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False})
    status, headers, body = asked(SERVICE, "/metrics")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert b"# TYPE" in body
