"""A real fleet that is encrypted from the caller to the nodes, which let in only routers of their authority."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from service.client import Client, Unanswered
from tests.wire.service_fleet import ServiceFleet, documents, eventually, get, new_fleet

Connect = Callable[[str], Any]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts, as one does whose machine has it installed."""
    one = trustme.CA()
    one.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return one


@pytest.fixture
def fleet(connect: Connect, emulator: str, tmp_path: Path, authority: trustme.CA) -> Iterator[ServiceFleet]:
    """Two shards with two replicas, everything with a certificate."""
    one = new_fleet(connect, emulator, tmp_path / "fleet", shards=2)
    try:
        one.configure(2)
        for role, shard, replica in [
            ("indexer", 0, ""),
            ("router", 0, ""),
            *(("node", s, r) for s in (0, 1) for r in "ab"),
        ]:
            member = one.add(role, shard, replica)
            member.environment |= _files(tmp_path, authority, member.address)
            member.tls = ssl.create_default_context()
            member.tls.load_cert_chain(
                member.environment["VECTORFLEET_TLS_CERTIFICATE"], member.environment["VECTORFLEET_TLS_KEY"]
            )
            member.start()
        one.await_ready()
        yield one
    finally:
        one.stop()


def _files(folder: Path, authority: trustme.CA, address: str) -> dict[str, str]:
    """The variables of a process with a certificate for its address."""
    made = authority.issue_cert(address)
    paths = {part: folder / f"{address}-{part}.pem" for part in ("certificate", "key")}
    made.cert_chain_pems[0].write_to_path(paths["certificate"])
    made.private_key_pem.write_to_path(paths["key"])
    paths["authority"] = folder / "authority.pem"
    return {f"VECTORFLEET_TLS_{part.upper()}": str(path) for part, path in paths.items()}


def test_encrypted_searches_survive_take_over_and_lost_nodes(fleet: ServiceFleet) -> None:
    client = fleet.client()
    names = [f"note/{number}" for number in range(8)]
    position = client.write(documents(names, "stopping machines"))["position"]
    answer = client.search(text="stopping machines", k=8, min_position=position)
    assert (answer["partial"], {hit["source_id"] for hit in answer["hits"]}) == (False, set(names))
    client.take_snapshots(min_position=position)
    eventually(lambda: all((node.ready() or {"generation": 0})["generation"] for node in fleet.nodes), "new bases")
    for node in fleet.nodes[::2]:
        node.kill()
    answer = client.search(text="stopping machines", k=8, min_position=position)
    assert (answer["partial"], {hit["source_id"] for hit in answer["hits"]}) == (False, set(names))


def test_a_node_demands_a_certificate(fleet: ServiceFleet) -> None:
    node, router = fleet.nodes[0], fleet.routers[0]
    # In TLS 1.3 a client learns of it only when it reads: the connection ends without an answer.
    with pytest.raises(OSError, match=r"certificate required|closed connection|reset|EOF"):
        get(f"{node.url}/readyz", tls=ssl.create_default_context())
    assert get(f"{router.url}/healthz", tls=ssl.create_default_context())[0] == 200
    for member in (node, router):
        with pytest.raises(Unanswered):
            Client(f"http://{member.address}:8080", timeout_seconds=5).status()
