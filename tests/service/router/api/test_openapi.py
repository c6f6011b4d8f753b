"""The public API matches its description, and no body of a request is a fault of the service."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.router.answers import BatchAnswer, SearchAnswer
from service.router.api.openapi import OPERATIONS, document
from service.router.api.overload import Reads
from service.router.api.requests import SearchRequest, float32_of
from service.router.api.searches import SearchRoutes
from service.router.api.status import StatusRoutes
from service.serving import Service
from service.wire.limits import MAX_QUERY, MAX_SEARCHES
from service.wire.problems import Problem
from tests.service import small_space
from tests.service.asking import asked
from tests.service.routes import KINDS, bare

VECTOR = np.asarray([3.0, 4.0, 0.0], np.float32)
RAW = {"Content-Type": "application/octet-stream"}


class FakeSearches(SearchRoutes):
    """Routes that answer every valid search, and remember it."""

    def __init__(self) -> None:
        self.searches: list[SearchRequest] = []
        self._metrics: Any = type("Metrics", (), {"observe": lambda *_, **__: None})()
        self._reads = Reads(self._metrics)

    async def _search(self, body: SearchRequest) -> SearchAnswer:
        body.check()
        body.conditions()
        if body.vector is not None:
            float32_of(body.vector, small_space.space(dims=3))
        if body.text == "busy":
            raise Problem(429, "too much waits", retry_after_seconds=1)
        self.searches.append(body)
        return SearchAnswer([], 1, 1, False, 7)


@pytest.fixture
def served() -> tuple[FakeSearches, Service]:
    made = FakeSearches()
    return made, Service([*made.routes(), *bare(StatusRoutes)], lambda: (True, {}), [])


def test_the_description_has_every_route_and_no_other() -> None:
    served = {
        (method, route.path.replace(":any", ""))
        for route in bare(*KINDS)
        for method in (route.methods or set()) - {"HEAD"}
        if route.path != "/openapi.json"
    }
    assert served == {(one.method, one.path) for one in OPERATIONS}
    paths = document()["paths"]
    assert served == {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_every_reference_leads_somewhere_and_ids_are_unique() -> None:
    described = document()
    text = json.dumps(described)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= described["components"]["schemas"].keys()
    ids = [one["operationId"] for methods in described["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))
    assert described["openapi"] == "3.1.0"


def test_it_is_served(served: tuple[FakeSearches, Service]) -> None:
    code, _, body = asked(served[1], "/openapi.json")
    assert (code, json.loads(body)) == (200, document())


def query(service: Service, body: object, path: str = "/v1/search") -> tuple[int, Any]:
    code, _, content = asked(service, path, "POST", {}, json.dumps(body).encode())
    return code, json.loads(content)


def test_a_vector_may_come_as_numbers_as_base64_or_raw(served: tuple[FakeSearches, Service]) -> None:
    subject, service = served
    encoded = base64.b64encode(VECTOR.tobytes()).decode()
    assert query(service, {"vector": VECTOR.tolist(), "k": 2})[0] == 200
    assert query(service, {"vector": encoded, "k": 2})[0] == 200
    code, _, _ = asked(service, "/v1/search", "POST", RAW, VECTOR.tobytes())
    assert code == 200
    for search in subject.searches:
        assert search.vector is not None
        np.testing.assert_allclose(float32_of(search.vector, small_space.space(dims=3)), [3, 4, 0])


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ("%%%", "not base64 of little-endian float32"),
        ("AAA=", "not base64 of little-endian float32"),
        (base64.b64encode(b"\0" * 8).decode(), "2 components; 3 are required"),
        (base64.b64encode(np.asarray([np.nan, 1, 1], "<f4").tobytes()).decode(), "finite"),
    ],
)
def test_bytes_that_are_no_vector_are_refused(served: tuple[FakeSearches, Service], vector: str, words: str) -> None:
    code, problem = query(served[1], {"vector": vector})
    assert (code, words in problem["detail"]) == (422, True)


def test_a_batch_is_answered_in_order_despite_a_failure(served: tuple[FakeSearches, Service]) -> None:
    searches = [{"text": "a"}, {"text": "busy"}, {"text": "b", "filter": {"x": {}}}, {"text": "c", "k": 3}]
    code, answer = query(served[1], {"searches": searches}, "/v1/search/batch")
    assert code == 200
    results = msgspec.convert(answer, BatchAnswer).results
    assert [one.problem.status if one.problem else 200 for one in results] == [200, 429, 422, 200]
    assert [bool(one.answer) for one in results] == [True, False, False, True]
    code, problem = query(served[1], {"searches": [{"text": "a"}] * (MAX_SEARCHES + 1)}, "/v1/search/batch")
    assert (code, f"length <= {MAX_SEARCHES}" in problem["detail"]) == (422, True)


def test_a_batch_has_no_more_text_than_one_search_may_have(served: tuple[FakeSearches, Service]) -> None:
    searches = [{"text": "x" * (MAX_QUERY // 2)}] * 3
    code, problem = query(served[1], {"searches": searches}, "/v1/search/batch")
    assert (code, f"allowed are {MAX_QUERY}" in problem["detail"]) == (422, True)


@pytest.mark.parametrize(
    "condition",
    [b"18446744073709551616", b"[" * 5_000 + b"]" * 5_000, b"9007199254740993", b"1e400"],
    ids=["large", "deep", "too fine", "endless"],
)
def test_a_filter_that_nothing_can_hold_is_no_fault_of_ours(
    served: tuple[FakeSearches, Service], condition: bytes
) -> None:
    body = b'{"vector": [3, 4, 0], "filter": {"a": ' + condition + b"}}"
    assert asked(served[1], "/v1/search", "POST", {}, body)[0] == 422


def test_a_fault_names_its_request_too(served: tuple[FakeSearches, Service], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SearchRequest, "check", broken)
    code, headers, body = asked(served[1], "/v1/search", "POST", {"X-Request-Id": "r7"}, b'{"text": "a"}')
    assert (code, headers["x-request-id"], json.loads(body)["request_id"]) == (500, "r7", "r7")


def test_a_request_keeps_the_name_that_its_caller_gave_it(served: tuple[FakeSearches, Service]) -> None:
    code, headers, body = asked(served[1], "/v1/search", "POST", {"X-Request-Id": "order-7"}, b"{}")
    assert (code, headers["x-request-id"], json.loads(body)["request_id"]) == (422, "order-7", "order-7")
    names = {
        asked(served[1], "/livez", "GET", {"X-Request-Id": bad})[1]["x-request-id"] for bad in ("", "a b", "x" * 129)
    }
    assert len(names) == 3
    assert all(len(name) == 32 for name in names)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["text", "vector", "k", "exact", "min_position", "model", "filter", "searches", "documents"])


@given(
    path=st.sampled_from(["/v1/search", "/v1/search/batch"]),
    body=st.dictionaries(MEMBERS, JSON, max_size=4).map(lambda one: json.dumps(one).encode()) | st.binary(max_size=40),
    raw=st.booleans(),
)
def test_no_body_is_a_fault_of_ours(path: str, body: bytes, raw: bool) -> None:
    made = FakeSearches()
    code, headers, content = asked(
        Service(made.routes(), lambda: (True, {}), []), path, "POST", RAW if raw else {}, body
    )
    assert code in (200, 415, 422, 429)
    assert headers["content-type"] == ("application/json" if code == 200 else "application/problem+json")
    json.loads(content)
