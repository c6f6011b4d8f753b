"""A router's answers name its slot, and a request that names another slot is refused."""

from __future__ import annotations

import json

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.serving import MISDIRECTED, Service, json_response
from service.wire.problems import Problem
from tests.service.asking import asked
from vectorfleet.slots import SLOT_HEADER


async def _answer(_: Request) -> Response:
    return json_response({})


async def _crash(_: Request) -> Response:
    raise ZeroDivisionError


async def _no_key(method: str, path: str, authorization: str) -> None:
    if not authorization:
        raise Problem(401, "this needs a key")


ROUTES = [Route("/v1/status", _answer), Route("/v1/crash", _crash)]
BLUE = Service(ROUTES, lambda: (True, {}), [], slot="blue")
NODE = Service(ROUTES, lambda: (True, {}), [])


def naming(*slots: str) -> Headers:
    """Return the headers of a request that names these slots."""
    return Headers(raw=[(SLOT_HEADER.lower().encode(), slot.encode()) for slot in slots])


@pytest.mark.parametrize("named", [(), ("blue",), ("BLUE",), ("blue", "Blue")])
def test_a_request_for_the_own_slot_is_answered(named: tuple[str, ...]) -> None:
    assert asked(BLUE, "/v1/status", headers=naming(*named))[0] == 200


@pytest.mark.parametrize("named", [("green",), ("purple",), ("",), ("blue", "green"), ("blue,green",)])
@pytest.mark.parametrize("path", ["/v1/status", "/healthz", "/nowhere"])
def test_a_request_for_another_slot_is_never_answered(named: tuple[str, ...], path: str) -> None:
    before = MISDIRECTED._value.get()
    status, headers, body = asked(BLUE, path, headers=naming(*named))
    problem = json.loads(body)
    assert (status, problem["status"], problem["title"]) == (421, 421, "Misdirected Request")
    assert f"is {', '.join(named)!r}, and this router serves slot blue" in problem["detail"]
    assert headers["content-type"] == "application/problem+json"
    assert MISDIRECTED._value.get() == before + 1


@pytest.mark.parametrize(("path", "status"), [("/v1/status", 200), ("/v1/crash", 500), ("/nowhere", 404)])
def test_every_answer_of_a_router_names_its_slot(path: str, status: int) -> None:
    code, headers, _ = asked(BLUE, path)
    assert (code, headers["x-vectorfleet-slot"]) == (status, "blue")


def test_a_caller_without_a_key_is_asked_for_it_first() -> None:
    service = Service(ROUTES, lambda: (True, {}), [], _no_key, "blue")
    status, headers, _ = asked(service, "/v1/status", headers=naming("green"))
    assert (status, headers["x-vectorfleet-slot"]) == (401, "blue")


def test_other_processes_know_no_slot() -> None:
    status, headers, _ = asked(NODE, "/v1/status", headers=naming("green"))
    assert (status, "x-vectorfleet-slot" in headers) == (200, False)
