"""Replicas as routers report them to a roll-out."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from infra.operations.replicas import SeenReplicas
from infra.operations.roll import RefreshError
from infra.stack.outputs import Cell
from tests.stack_outputs import a_stack

KEY = "vf_operator_1"
CELLS = [Cell(0, "a", "z", "g0a"), Cell(0, "b", "z", "g0b"), Cell(1, "a", "z", "g1a")]


@contextmanager
def router(status: object, certificate: trustme.LeafCert | None = None) -> Iterator[str]:
    """A router that answers with this status, by TLS where it has a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(status).encode()
            known = self.path == "/v1/status" and self.headers["Authorization"] == f"Bearer {KEY}"
            self.send_response(200 if known else 401 if self.path == "/v1/status" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def seen_at(endpoint: str, key: str = KEY) -> SeenReplicas:
    return SeenReplicas(a_stack(endpoint=endpoint, cells=CELLS, key=key))


def row(replica: str, instance: str, ready: bool) -> dict[str, object]:
    return {"replica": replica, "instance": instance, "ready": ready}


def test_ready_instances_are_listed_by_replica() -> None:
    status = {
        "shards": [
            {"shard": 0, "replicas": [row("a", "i-1", True), row("a", "i-2", True), row("b", "i-3", False)]},
            {"shard": 1, "replicas": [row("a", "i-4", True)]},
        ]
    }
    with router(status) as endpoint:
        seen = seen_at(endpoint)
        assert seen.ready(0) == {"a": {"i-1", "i-2"}, "b": set()}
        assert seen.ready(1) == {"a": {"i-4"}}


def test_indexers_and_a_refusal_are_read_where_routers_know_them() -> None:
    status = {"shards": [], "indexers": [{"instance": "i-9", "state": "not ready"}], "misconfigured": "m 16 → 24"}
    with router(status) as endpoint:
        seen = seen_at(endpoint)
        assert (seen.indexers(), seen.refusal()) == ({"i-9": "not ready"}, "m 16 → 24")
    with router({"shards": []}) as endpoint:
        older = seen_at(endpoint)
        assert (older.indexers(), older.refusal()) == (None, "")
    assert (older.indexers(), older.refusal()) == (None, "")


def test_no_answer_and_no_sense_are_nobody_ready() -> None:
    with router({"odd": 1}) as endpoint:
        assert seen_at(endpoint).ready(0) == {}
    assert seen_at(endpoint).ready(0) == {}


def test_a_wrong_certificate_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with (
        router({"shards": []}, authority.issue_cert("search.example.com")) as endpoint,
        pytest.raises(RefreshError, match=r"can't be reached: .*127\.0\.0\.1.* Is hostname the name"),
    ):
        seen_at(endpoint).ready(0)
    with router({"shards": []}, authority.issue_cert("127.0.0.1")) as endpoint:
        assert seen_at(endpoint).ready(0) == {"a": set(), "b": set()}


def test_a_name_that_leads_nowhere_is_said() -> None:
    with pytest.raises(RefreshError, match="does it lead to the load balancer"):
        seen_at("http://localhost.:99999999999").ready(0)


def test_without_a_key_nobody_is_blamed_but_the_caller() -> None:
    with router({"shards": []}) as endpoint, pytest.raises(RefreshError, match="set VECTORFLEET_KEY"):
        seen_at(endpoint, "vf_other_1").ready(0)
