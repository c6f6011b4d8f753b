"""A body counts as what its head says it is, or is refused with what is allowed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.router.api.decoding import queried, refuse_body
from service.router.api.requests import DeletionQuery, SearchRequest
from service.router.api.searches import decoded_search
from service.serving import Service, json_response
from service.wire.bodies import body_of, content_type
from service.wire.problems import Problem
from tests.service.asking import asked


async def _search(request: Request) -> Response:
    return json_response(await decoded_search(request))


async def _delete(request: Request) -> Response:
    await refuse_body(request)
    return json_response(queried(request, DeletionQuery))


async def _copy(request: Request) -> Response:
    return Response(bytes(await body_of(request, 10)))


ROUTES = [
    Route("/search", _search, methods=["POST"]),
    Route("/search", _delete, methods=["DELETE"]),
    Route("/copy", _copy, methods=["POST"]),
]
SERVICE = Service(ROUTES, lambda: (True, {}), [])
SEARCH = b'{"text": "tea", "k": 3}'


def _refused(path: str, method: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    status, given, content = asked(SERVICE, path, method, headers, body)
    assert status != 415 or given["accept-encoding"] == "identity"
    return status, json.loads(content).get("detail", "")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Content-Encoding", "gzip", "Content-Encoding is gzip; allowed is identity"),
        ("content-encoding", "identity, GZIP, br", "Content-Encoding is gzip, br; allowed is identity"),
        ("Transfer-Encoding", "gzip, chunked", "Transfer-Encoding is gzip; allowed is chunked"),
    ],
)
@pytest.mark.parametrize("path", ["/search", "/copy"])
def test_a_compressed_body_is_a_415(path: str, name: str, value: str, words: str) -> None:
    status, detail = _refused(path, "POST", {name: value}, gzip.compress(SEARCH))
    assert (status, words in detail) == (415, True)


@pytest.mark.parametrize("coding", [{"Content-Encoding": "Identity"}, {"Transfer-Encoding": "chunked"}])
def test_a_body_as_it_is_may_say_so(coding: dict[str, str]) -> None:
    assert asked(SERVICE, "/search", "POST", coding, SEARCH)[0] == 200


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "Application/Octet-Stream", "APPLICATION/OCTET-STREAM ; version=1"]
)
def test_a_raw_vector_is_known_in_any_letters(kind: str) -> None:
    status, _, body = asked(SERVICE, "/search", "POST", {"Content-Type": kind}, b"\0\0\x80?")
    assert (status, json.loads(body)["vector"]) == (200, "AACAPw==")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; Charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/x-www-form-urlencoded",
        "text/plain;charset=UTF-8",
        "application/vnd.api+json",
        "",
        "json",
    ],
)
def test_json_is_taken_by_what_clients_call_it(kind: str) -> None:
    assert asked(SERVICE, "/search", "POST", {"Content-Type": kind}, SEARCH)[0] == 200


@pytest.mark.parametrize(
    ("kind", "body", "status", "words"),
    [
        ("application/json", b"<search/>", 422, "the body is not a SearchRequest"),
        ("text/xml", b"<search/>", 415, "a body of text/xml is not taken here; send JSON"),
        ("multipart/form-data; boundary=x", b"--x--", 415, "a body of multipart/form-data is not taken"),
        ("application/msgpack", b"\x81", 415, "a body of application/msgpack is not taken"),
        ("application/json; charset=iso-8859-1", SEARCH, 415, "the charset is iso-8859-1; JSON is sent in UTF-8"),
        ("application/json; charset=utf-16", SEARCH.decode().encode("utf-16"), 415, "the charset is utf-16"),
    ],
)
def test_what_is_no_json_is_refused_by_its_name(kind: str, body: bytes, status: int, words: str) -> None:
    code, detail = _refused("/search", "POST", {"Content-Type": kind}, body)
    assert (code, words in detail) == (status, True)


def _request(names: Sequence[tuple[bytes, bytes]]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/", "headers": list(names)})


def test_a_content_type_that_is_there_twice_says_one_thing() -> None:
    json_twice = [(b"content-type", b"application/json")] * 2
    assert content_type(_request(json_twice)).media_type == "application/json"
    with pytest.raises(Problem, match="Content-Type is application/json and application/octet-stream; send it once"):
        content_type(_request([*json_twice, (b"content-type", b"application/octet-stream")]))


def test_a_body_beyond_the_limit_is_a_413() -> None:
    assert asked(SERVICE, "/copy", "POST", content=b"x" * 10)[2] == b"x" * 10
    assert _refused("/copy", "POST", {}, b"x" * 11)[0] == 413


@pytest.mark.parametrize(
    ("method", "query", "body", "words"),
    [
        ("POST", "collection=notes", SEARCH, "?collection=notes: this takes no query string; put it into the body"),
        ("DELETE", "", b'{"collection": "notes"}', "DELETE takes no body"),
        ("DELETE", "collection=a&collection=b", b"", "the query string has collection more than once"),
        ("DELETE", "collection=%FF", b"", "the query string is not a DeletionQuery"),
    ],
)
def test_what_would_count_for_nothing_is_refused(method: str, query: str, body: bytes, words: str) -> None:
    status, detail = _refused(f"/search?{query}", method, {}, body)
    assert (status, words in detail) == (422, True)


def test_a_search_needs_no_query_string_and_no_content_type() -> None:
    status, _, body = asked(SERVICE, "/search", "POST", {}, SEARCH)
    assert (status, json.loads(body)["k"]) == (200, 3)
    assert SearchRequest(text="tea", k=3).k == 3
