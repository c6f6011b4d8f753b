"""Keys of the API: who is let in, and what the others are told."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.problems import Problem
from service.router.access import Access, Allowance, KeyRecord, Role, needed
from service.serving import Service, json_response
from tests.service.asking import asked

SEARCH = ("POST", "/v1/search")
WRITE = ("POST", "/v1/documents")
BODIES: list[bytes] = []


def record(secret: str, role: str, rate: float | None = None) -> KeyRecord:
    return KeyRecord(role, hashlib.sha256(secret.encode()).hexdigest(), rate)


def access(**records: KeyRecord) -> Access:
    known = Access("/vectorfleet-keys/main")
    known.replace(records)
    return known


def status(subject: Access, request: tuple[str, str], header: str) -> int:
    """What a request with this header gets, 200 where it is let in."""
    try:
        subject.admit(*request, header)
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize(("role", "search", "write"), [("read", 200, 403), ("write", 200, 200), ("admin", 200, 200)])
def test_a_role_includes_those_before_it(role: str, search: int, write: int) -> None:
    subject = access(shop=record("s3_cret-", role))
    assert status(subject, SEARCH, "Bearer vf_shop_s3_cret-") == search
    assert status(subject, WRITE, "bearer  vf_shop_s3_cret-") == write


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("POST", "/v1/documents", Role.WRITE),
        ("POST", "/v1/documents/", Role.WRITE),
        ("DELETE", "/v1/documents/lookup", Role.WRITE),
        ("DELETE", "/v1/documents/a/b", Role.WRITE),
        ("POST", "/v1/snapshots", Role.ADMIN),
        ("POST", "/v1/snapshots/", Role.ADMIN),
        ("GET", "/v1/snapshots", Role.READ),
        ("GET", "/v1/documents/a", Role.READ),
        ("POST", "/v1/documents/lookup", Role.READ),
        ("POST", "/v1/search", Role.READ),
        ("GET", "/metrics", Role.READ),
        ("GET", "/nowhere", Role.READ),
    ],
)
def test_what_a_request_needs(method: str, path: str, role: Role) -> None:
    assert needed(method, path) is role


@given(header=st.text(max_size=60) | st.text(max_size=40).map("Bearer vf_shop_".__add__))
def test_no_other_header_gets_in(header: str) -> None:
    subject = access(shop=record("right", "admin"))
    assert status(subject, SEARCH, header) == (200 if header.strip() == "Bearer vf_shop_right" else 401)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_load_balancer_needs_no_key_also_before_any_is_read(path: str) -> None:
    unread = Access("/vectorfleet-keys/main")
    assert status(unread, ("GET", path), "") == 200
    assert status(unread, SEARCH, "Bearer vf_shop_right") == 503


@pytest.mark.parametrize(
    ("subject", "header", "words"),
    [
        (access(), "", "the fleet has no keys yet"),
        (access(shop=record("a", "read")), "", "needs the header"),
        (access(shop=record("a", "read")), "Bearer vf_shop_b", "this key is not known"),
    ],
)
def test_a_refusal_says_what_to_do(subject: Access, header: str, words: str) -> None:
    with pytest.raises(Problem, match=words) as refused:
        subject.admit(*SEARCH, header)
    assert "python -m infra keys create" in refused.value.detail
    assert "vf_shop_b" not in refused.value.detail


def test_a_revoked_key_is_refused_and_a_damaged_one_harms_no_other() -> None:
    subject = access(old=record("1", "read"), new=record("2", "read"))
    subject.replace({"new": record("2", "read"), "odd": KeyRecord("read", "zz"), "king": record("3", "king")})
    assert status(subject, SEARCH, "Bearer vf_old_1") == 401
    assert status(subject, SEARCH, "Bearer vf_new_2") == 200
    assert status(subject, SEARCH, "Bearer vf_king_3") == 401


def test_a_rate_holds_over_a_reading_of_the_keys_and_says_when_to_come_again() -> None:
    records = {"shop": record("1", "read", 0.5)}
    subject = access(**records)
    assert status(subject, SEARCH, "Bearer vf_shop_1") == 200
    subject.replace(dict(records))
    with pytest.raises(Problem, match=r"0\.5 times a second") as refused:
        subject.admit(*SEARCH, "Bearer vf_shop_1")
    assert (refused.value.status, refused.value.extra) == (429, {"limit": 0.5, "retry_after_seconds": 2})
    subject.replace({"shop": record("1", "read", 100.0)})
    assert status(subject, SEARCH, "Bearer vf_shop_1") == 200


@given(per_second=st.floats(0.1, 50), waits=st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_nobody_gets_more_than_rate_times_time_and_one_second_in_advance(per_second: float, waits: list[float]) -> None:
    now, granted = 0.0, 0
    allowance = Allowance(per_second, lambda: now)
    for wait in waits:
        now += wait
        seconds = allowance.take()
        granted += not seconds
        if seconds:
            now += seconds * 1.000001
            assert allowance.take() == 0.0
            granted += 1
    assert granted <= max(per_second, 1) + now * per_second + 1e-6


async def keep(request: Request) -> Response:
    BODIES.append(await request.body())
    return json_response({"kept": True})


def test_a_refused_request_reaches_no_route_and_says_how_to_authenticate() -> None:
    subject = access(shop=record("1", "write"))
    service = Service([Route("/v1/documents", keep, methods=["POST"])], lambda: (True, {}), [], subject.admit)
    code, headers, body = asked(service, "/v1/documents", "POST")
    assert (code, headers["www-authenticate"], headers["content-type"]) == (401, "Bearer", "application/problem+json")
    assert json.loads(body)["title"] == "Unauthorized"
    assert BODIES == []
    assert asked(service, "/v1/documents", "POST", {"Authorization": "Bearer vf_shop_1"})[0] == 200
    assert BODIES == [b""]
