"""Keys of the API from the verb that makes them to the router that refuses them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.stack_outputs import VALUES
from tests.wire.service_fleet import PROJECT, Member, ServiceFleet, aws_environment, documents, eventually, new_fleet

Connect = Callable[[str], Any]
SEARCH = {"vector": [1.0], "k": 1}


@pytest.fixture(scope="module")
def fleet(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """A router alone, which wants keys."""
    one = new_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=1)
    one.access_keys = f"/vectorfleet-keys/{one.name}"
    try:
        one.configure(1)
        one.add("router").start()
        eventually(lambda: ask(one.routers[0], "GET", "/healthz", "")[0] == 200, "a router that answers")
        eventually(lambda: ask(one.routers[0], "GET", "/v1/status", "")[0] == 401, "a router that read the keys")
        yield one
    finally:
        one.stop()


@pytest.fixture
def keys(fleet: ServiceFleet, tmp_path: Path) -> Callable[..., str]:
    """`python -m infra keys` on the fleet's stack; what it prints."""
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(VALUES | {"access_keys": fleet.access_keys}))
    environment = aws_environment(fleet.endpoint) | {"PATH": "/usr/bin:/bin"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "vectorfleet", "keys", *arguments, "--outputs", str(outputs)]
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return run


def ask(
    router: Member, method: str, path: str, key: str, body: object = None
) -> tuple[int, Mapping[str, str], dict[str, Any]]:
    """Status, headers and body of a request with a key."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(router.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), json.load(error)


def known(router: Member, key: str) -> bool:
    return ask(router, "GET", "/v1/status", key)[0] == 200


def test_a_key_works_within_its_role_until_it_is_revoked(fleet: ServiceFleet, keys: Callable[..., str]) -> None:
    router = fleet.routers[0]
    reader, writer = keys("create", "reader"), keys("create", "writer", "--role", "write")
    body = {"documents": documents(["a"], "keys")}
    for key in (reader, writer):
        assert known(router, key)
    # Without a build a search gets past the key and no further.
    assert ask(router, "POST", "/v1/search", reader, SEARCH)[2]["detail"].startswith("the slot has no build yet")
    code, _, refused = ask(router, "POST", "/v1/documents", reader, body)
    assert (code, refused["detail"]) == (403, "POST /v1/documents needs a key of role write, this one may read")
    eventually(lambda: ask(router, "POST", "/v1/documents", writer, body)[0] == 200, "a write")
    keys("revoke", "writer")
    eventually(lambda: ask(router, "POST", "/v1/documents", writer, body)[0] == 401, "a revoked key")
    assert [row["name"] for row in json.loads(keys("list", "--json"))] == ["reader"]
    assert reader.split("_", 2)[2] not in router.log.read_text()


def test_a_key_that_asks_too_often_is_told_when_to_come_again(fleet: ServiceFleet, keys: Callable[..., str]) -> None:
    router, key = fleet.routers[0], keys("create", "slow", "--rate", "0.1")
    assert known(router, key)
    code, headers, body = ask(router, "GET", "/v1/status", key)
    assert (code, body["limit"]) == (429, 0.1)
    assert 1 <= int(headers["retry-after"]) <= 10


def test_a_stranger_is_answered_before_a_body_is_sent(fleet: ServiceFleet) -> None:
    router = fleet.routers[0]
    head = "POST /v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\nAuthorization: Bearer vf_a_b\r\n\r\n"
    with socket.create_connection((router.address, 8080), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 401"
