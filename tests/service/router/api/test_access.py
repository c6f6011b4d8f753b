"""Keys of the API: who is let in, and what the others are told."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.router.api import access
from service.router.api.access import Access, Allowance, Key, KeyRecord, Keys, Role, carried, needed
from service.serving import Service, json_response
from service.wire.problems import Problem
from tests.service.asking import asked

SEARCH = ("POST", "/v1/search")
WRITE = ("POST", "/v1/documents")
BODIES: list[bytes] = []


def record(secret: str, role: str, rate: float | None = None) -> KeyRecord:
    return KeyRecord(role, hashlib.sha256(secret.encode()).hexdigest(), rate)


class Parameters:
    """The records as SSM has them."""

    def __init__(self, **records: KeyRecord) -> None:
        self.records = records
        self.readings = 0
        self.failures: float = 0
        self.met: Callable[[], object] = lambda: None

    def read(self) -> dict[str, KeyRecord]:
        self.readings += 1
        if self.failures:
            self.failures -= 1
            raise EndpointConnectionError(endpoint_url="ssm")
        found = dict(self.records)
        self.met()
        return found


def keys(**records: KeyRecord) -> Keys:
    known = Keys()
    known.replace(records)
    return known


def found(subject: Keys, header: str) -> Key | None:
    token = carried(header)
    assert token is not None
    return subject.find(token)


async def admitted(subject: Access, request: tuple[str, str], header: str) -> int:
    """Return the status of a request with this header, 200 if it is admitted."""
    try:
        await subject.admit(*request, header)
    except Problem as problem:
        return problem.status
    return 200


@asynccontextmanager
async def router(parameters: Parameters) -> AsyncIterator[Access]:
    """The access of a router that has read these keys and goes on to do so."""
    subject = Access(parameters.read, 0.0)
    await subject.refresh()
    running = asyncio.create_task(subject.run())
    try:
        yield subject
    finally:
        running.cancel()


async def answers(parameters: Parameters, *asked: tuple[tuple[str, str], str]) -> list[int]:
    """Return the statuses of requests, one after the other."""
    async with router(parameters) as subject:
        return [await admitted(subject, *one) for one in asked]


async def refused(parameters: Parameters, *headers: str) -> Problem:
    """The problem with the last of these searches; those before it are let in."""
    async with router(parameters) as subject:
        for header in headers[:-1]:
            await subject.admit(*SEARCH, header)
        with pytest.raises(Problem) as problem:
            await subject.admit(*SEARCH, headers[-1])
        return problem.value


@pytest.mark.parametrize(("role", "search", "write"), [("read", 200, 403), ("write", 200, 200), ("admin", 200, 200)])
def test_a_role_includes_those_before_it(role: str, search: int, write: int) -> None:
    parameters = Parameters(shop=record("s3_cret-", role))
    asked = (SEARCH, "Bearer vf_shop_s3_cret-"), (WRITE, "bearer  vf_shop_s3_cret-")
    assert asyncio.run(answers(parameters, *asked)) == [search, write]


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("POST", "/v1/documents", Role.WRITE),
        ("POST", "/v1/documents/", Role.WRITE),
        ("DELETE", "/v1/documents/lookup", Role.WRITE),
        ("DELETE", "/v1/documents/a/b", Role.WRITE),
        ("POST", "/v1/snapshots", Role.ADMIN),
        ("POST", "/v1/snapshots/", Role.ADMIN),
        ("POST", "/v1/snapshots/verify", Role.ADMIN),
        ("POST", "/v1/undo", Role.ADMIN),
        ("POST", "/v1/undo/", Role.ADMIN),
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
    token = carried(header)
    found = None if token is None else keys(shop=record("right", "admin")).find(token)
    assert (found is not None) == (header.strip() == "Bearer vf_shop_right")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_load_balancer_needs_no_key_also_before_any_is_read(path: str) -> None:
    unread = Access(Parameters().read)
    assert asyncio.run(admitted(unread, ("GET", path), "")) == 200
    assert asyncio.run(admitted(unread, SEARCH, "Bearer vf_shop_right")) == 503


@pytest.mark.parametrize(
    ("parameters", "header", "words"),
    [
        (Parameters(), "", "the fleet has no keys yet"),
        (Parameters(shop=record("a", "read")), "", "needs the header"),
        (Parameters(shop=record("a", "read")), "Bearer vf_shop_b", "this key is not known"),
    ],
)
def test_a_refusal_says_what_to_do(parameters: Parameters, header: str, words: str) -> None:
    detail = asyncio.run(refused(parameters, header)).detail
    assert words in detail
    assert "vectorfleet keys create" in detail
    assert "vf_shop_b" not in detail


def test_a_revoked_key_is_unknown_and_a_damaged_one_is_skipped() -> None:
    subject = keys(old=record("1", "read"), new=record("2", "read"))
    subject.replace({"new": record("2", "read"), "odd": KeyRecord("read", "zz"), "king": record("3", "king")})
    assert found(subject, "Bearer vf_old_1") is None
    assert found(subject, "Bearer vf_new_2") is not None
    assert found(subject, "Bearer vf_king_3") is None


def test_a_rate_holds_over_a_reading_of_the_keys() -> None:
    records = {"shop": record("1", "read", 0.5)}
    subject = keys(**records)
    before = found(subject, "Bearer vf_shop_1")
    subject.replace(dict(records))
    assert found(subject, "Bearer vf_shop_1") is before
    subject.replace({"shop": record("1", "read", 100.0)})
    assert found(subject, "Bearer vf_shop_1") is not before


def test_a_key_that_asks_too_often_is_told_when_to_come_again() -> None:
    parameters = Parameters(shop=record("1", "read", 0.5))
    problem = asyncio.run(refused(parameters, "Bearer vf_shop_1", "Bearer vf_shop_1"))
    assert problem.detail == "this key may send 0.5 requests a second"
    assert (problem.status, problem.extra) == (429, {"limit": 0.5, "retry_after_seconds": 2})


def test_a_key_that_was_just_made_is_known_at_once() -> None:
    parameters = Parameters(shop=record("1", "read"))

    async def ask() -> list[int]:
        async with router(parameters) as subject:
            parameters.records["new"] = record("2", "read")
            return [await admitted(subject, SEARCH, "Bearer vf_new_2")]

    assert asyncio.run(ask()) == [200]


def test_an_older_reading_does_not_refuse_a_new_key() -> None:
    parameters = Parameters(shop=record("1", "read"))
    begun, made = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert made.wait(10)

    async def ask() -> tuple[int, int]:
        async with router(parameters) as subject:
            parameters.met = hold
            stranger = asyncio.create_task(admitted(subject, SEARCH, "Bearer vf_nobody_1"))
            assert await asyncio.to_thread(begun.wait, 10)
            parameters.records["new"] = record("2", "read")
            caller = asyncio.create_task(admitted(subject, SEARCH, "Bearer vf_new_2"))
            await asyncio.sleep(0)
            made.set()
            return (await stranger, await caller)

    assert asyncio.run(ask()) == (401, 200)


def test_unknown_keys_share_a_reading_and_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = Parameters()

    async def ask() -> list[int]:
        async with router(parameters) as subject:
            crowd = range(access.MOST_WAITING + 3)
            got = await asyncio.gather(*(admitted(subject, SEARCH, f"Bearer vf_a_{number}") for number in crowd))
            assert parameters.readings <= 3
            parameters.failures = math.inf
            monkeypatch.setattr(access, "WAIT_SECONDS", 0.05)
            return [*got, await admitted(subject, SEARCH, "Bearer vf_a_1")]

    assert asyncio.run(ask()) == [401] * access.MOST_WAITING + [429] * 3 + [503]


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Bearer vf_", "x"])
def test_a_malformed_key_is_refused_without_a_reading(header: str) -> None:
    async def ask() -> int:
        subject = Access(Parameters().read)
        await subject.refresh()
        # Nothing reads the keys here, so a waiting request would wait in vain.
        return await admitted(subject, SEARCH, header)

    assert asyncio.run(ask()) == 401


def test_who_waits_does_so_over_a_reading_that_failed() -> None:
    parameters = Parameters(shop=record("1", "read"))

    async def ask() -> int:
        async with router(parameters) as subject:
            parameters.records["new"] = record("2", "read")
            parameters.failures = 1
            return await admitted(subject, SEARCH, "Bearer vf_new_2")

    assert asyncio.run(ask()) == 200


def test_unknown_keys_cause_readings_at_most_once_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, pause = Parameters(), 0.05
    begun: list[float] = []
    parameters.met = lambda: begun.append(time.monotonic())

    async def ask() -> None:
        subject = Access(parameters.read, pause)
        await subject.refresh()
        running = asyncio.create_task(subject.run())
        for _ in range(5):
            assert await admitted(subject, SEARCH, "Bearer vf_a_1") == 401
        running.cancel()

    asyncio.run(ask())
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun[1:])]
    assert len(gaps) >= 4
    assert min(gaps) >= pause


def test_a_revoked_key_goes_without_anybody_asking_for_a_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REFRESH_SECONDS", 0.01)
    parameters = Parameters(shop=record("1", "read"))

    async def ask() -> int:
        async with router(parameters) as subject, asyncio.timeout(10):
            parameters.records.clear()
            read = asyncio.Event()
            parameters.met = partial(asyncio.get_running_loop().call_soon_threadsafe, read.set)
            while await admitted(subject, SEARCH, "Bearer vf_shop_1") == 200:
                await read.wait()
                read.clear()
            return parameters.readings

    assert asyncio.run(ask()) >= 2


@given(per_second=st.floats(0.1, 50), waits=st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_a_key_gets_its_rate_and_a_burst_of_one_second(per_second: float, waits: list[float]) -> None:
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


def test_a_refusal_reaches_no_route_and_says_how_to_authenticate() -> None:
    subject = Access(Parameters(shop=record("1", "write")).read)
    asyncio.run(subject.refresh())
    service = Service([Route("/v1/documents", keep, methods=["POST"])], lambda: (True, {}), [], subject.admit)
    code, headers, body = asked(service, "/v1/documents", "POST")
    assert (code, headers["www-authenticate"], headers["content-type"]) == (401, "Bearer", "application/problem+json")
    assert json.loads(body)["title"] == "Unauthorized"
    assert BODIES == []
    assert asked(service, "/v1/documents", "POST", {"Authorization": "Bearer vf_shop_1"})[0] == 200
    assert BODIES == [b""]
