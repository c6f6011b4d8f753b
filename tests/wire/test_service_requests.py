"""Requests that a real router and node read as they were meant, or refuse; none of them is a fault of theirs."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from service.client import Client, ServiceError
from service.wire.protocol import MOST_HEAD_BYTES
from tests.wire.service_fleet import Member, ServiceFleet, booted_fleet, documents, eventually, get

Connect = Callable[[str], Any]
NAMES = [".", "..", "a/../b", "%2F", "a?b#c", "ä\n", "lookup", " "]
SECONDS = 10.0
ENDLESS_BYTES = 64 << 20


@pytest.fixture(scope="module")
def fleet(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """One shard, one replica."""
    with booted_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=1, replicas=1) as one:
        yield one


def connected(member: Member) -> socket.socket:
    """A connection to a process."""
    address, port = member.url.removeprefix("http://").split(":")
    return socket.create_connection((address, int(port)), SECONDS)


def said(member: Member, request: bytes, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to these bytes, which end the connection."""
    line, *rest = request.splitlines()
    head = [line, b"Host: x", b"Connection: close", b"Content-Length: %d" % len(body), *rest]
    with connected(member) as connection:
        connection.sendall(b"\r\n".join([*head, b"", body]))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    top, _, content = answer.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, content


def test_a_document_of_any_name_is_found_by_its_path(fleet: ServiceFleet) -> None:
    client = fleet.client()
    position = client.write(documents(NAMES, "keys"))["position"]
    for name in NAMES:
        assert client.document(name, position)["source_id"] == name
    with pytest.raises(ServiceError, match="is not a source_id") as refused:
        client.document("")
    assert refused.value.status == 422


def test_a_deletion_by_its_path_means_that_name_alone(fleet: ServiceFleet) -> None:
    router, client = fleet.routers[0], fleet.client()
    position = client.write(documents(["\ufffd", ".."], "keys"))["position"]
    status, _, body = said(router, b"DELETE /v1/documents/%FF HTTP/1.1")
    assert (status, "is not UTF-8" in json.loads(body)["detail"]) == (422, True)
    assert client.document("\ufffd", position)["source_id"] == "\ufffd"
    status, _, body = said(router, b"DELETE /v1/documents/%2E%2e HTTP/1.1")
    assert (status, json.loads(body)["results"][0]["source_id"]) == (200, "..")


def _abandoned(member: Member) -> bool:
    return b"vectorfleet_requests_abandoned_total 1.0" in get(f"{member.url}/metrics")[2]


def test_who_leaves_while_sending_is_counted_and_no_fault(fleet: ServiceFleet) -> None:
    for member, path in ((fleet.routers[0], b"/v1/documents"), (fleet.nodes[0], b"/search")):
        with connected(member) as connection:
            connection.sendall(b"POST " + path + b' HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"documents"')
        eventually(partial(_abandoned, member), "a caller who left")
        lines = [json.loads(line) for line in member.log.read_text().splitlines()]
        assert [one["level"] for one in lines if "left while" in one["message"]] == ["INFO"]
        assert not [one for one in lines if one["level"] in ("ERROR", "CRITICAL")]
        assert "Traceback" not in member.log.read_text()


def test_a_slash_too_many_sends_nobody_to_plain_http(fleet: ServiceFleet) -> None:
    for member in (fleet.routers[0], fleet.nodes[0]):
        status, headers, _ = said(member, b"GET /healthz/ HTTP/1.1\nX-Forwarded-Proto: https")
        assert (status, "location" in headers) == (404, False)
    assert said(fleet.routers[0], b"POST /v1/search/ HTTP/1.1")[0] == 404


def test_a_wrong_method_is_told_every_right_one(fleet: ServiceFleet) -> None:
    for path, methods in (
        (b"/v1/documents/a", "DELETE, GET, HEAD"),
        (b"/v1/documents/lookup", "DELETE, GET, HEAD, POST"),
        (b"/v1/snapshots", "GET, HEAD, POST"),
        (b"/v1/collections/a", "DELETE, GET, HEAD, PUT"),
    ):
        status, headers, _ = said(fleet.routers[0], b"PATCH " + path + b" HTTP/1.1")
        assert (status, headers["allow"]) == (405, methods)


def test_a_router_asked_for_another_slot_is_a_421(fleet: ServiceFleet) -> None:
    router = fleet.routers[0]
    for request in (b"GET /v1/status HTTP/1.1", b"POST /v1/documents HTTP/1.1"):
        status, headers, content = said(router, request + b"\nX-Vectorfleet-Slot: green")
        assert (status, headers["x-vectorfleet-slot"]) == (421, "blue")
        assert "this router serves slot blue" in json.loads(content)["detail"]
    assert Client(router.url, slot="blue").status()["slot"] == "blue"
    with pytest.raises(ServiceError) as refused:
        Client(router.url, slot="green").write(documents(["never"], "keys"))
    assert (refused.value.status, refused.value.not_written) == (421, True)


def test_a_compressed_body_is_a_415_of_every_process(fleet: ServiceFleet) -> None:
    body = gzip.compress(b'{"text": "keys"}')
    for member, path in ((fleet.routers[0], b"/v1/search"), (fleet.nodes[0], b"/search")):
        status, headers, content = said(member, b"POST " + path + b" HTTP/1.1\nContent-Encoding: gzip", body)
        assert (status, headers["accept-encoding"]) == (415, "identity")
        assert "Content-Encoding is gzip" in json.loads(content)["detail"]


def test_a_body_behind_an_upgrade_is_never_taken_for_empty(fleet: ServiceFleet) -> None:
    upgrade = b"PUT /v1/collections/vectors HTTP/1.1\nConnection: Upgrade\nUpgrade: h2c"
    status, headers, content = said(fleet.routers[0], upgrade, b'{"source": "vector", "dims": 3}')
    assert (status, headers["connection"]) == (400, "close")
    assert "only HTTP/1.1 is spoken" in json.loads(content)["detail"]
    assert [one["name"] for one in fleet.client().collections()["collections"]] == ["default"]


def test_a_head_without_an_end_ends_the_connection(fleet: ServiceFleet) -> None:
    piece = b"x" * (1 << 14)
    with connected(fleet.routers[0]) as connection:
        connection.sendall(b"GET /v1/status HTTP/1.1\r\nX: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < ENDLESS_BYTES:
                connection.sendall(piece)
                sent += len(piece)
    assert MOST_HEAD_BYTES < sent < ENDLESS_BYTES
    assert fleet.routers[0].ready()
