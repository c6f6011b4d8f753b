"""A process shows its certificate, trusts one authority, takes a renewed one, and refuses files that make no sense."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trustme

from service.settings import BadSettings, Process
from service.tls import Tls

PLAIN = Process(fleet="f", role="node", slot="blue", parameters="/f")


class Files:
    """An authority and a certificate by it, in files."""

    def __init__(self, folder: Path, name: str = "one") -> None:
        self.authority = trustme.CA()
        self.paths = {part: folder / f"{name}-{part}.pem" for part in ("certificate", "key", "authority")}
        self.authority.cert_pem.write_to_path(self.paths["authority"])
        self.issue()

    def issue(self) -> bytes:
        """A new certificate in the place of the old one; returns it."""
        made = self.authority.issue_cert("node")
        for part, pem in (("certificate", made.cert_chain_pems[0]), ("key", made.private_key_pem)):
            pem.write_to_path(self.paths[part])
        return bytes(made.cert_chain_pems[0].bytes())

    def process(self, role: str, *parts: str) -> Process:
        named = {f"tls_{part}": str(self.paths[part]) for part in parts or self.paths}
        return msgspec.structs.replace(PLAIN, role=role, **named)


def shown(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """The certificate, as PEM, that the one shows the other over a socket pair; raises what either meets."""
    here, there = socket.socketpair()
    failed: list[Exception] = []

    def answer() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as wrapped:
                wrapped.sendall(wrapped.recv(1))
        except OSError as error:
            failed.append(error)

    answering = threading.Thread(target=answer)
    answering.start()
    try:
        with client.wrap_socket(here) as wrapped:
            wrapped.sendall(b"x")
            wrapped.recv(1)
            return ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True) or b"").encode()
    finally:
        answering.join()
        here.close()
        there.close()
        if failed:
            raise failed[0]


def contexts(server: Tls, client: Tls) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    assert server.server is not None
    assert client.client is not None
    return server.server, client.client


def test_without_files_nothing_is_encrypted() -> None:
    assert (Tls(PLAIN).server, Tls(PLAIN).client) == (None, None)


def test_routers_and_nodes_trust_only_their_authority(tmp_path: Path) -> None:
    ours, theirs = Files(tmp_path), Files(tmp_path, "other")
    node, router = Tls(ours.process("node")), Tls(ours.process("router"))
    assert b"BEGIN CERTIFICATE" in shown(*contexts(node, router))
    with pytest.raises(ssl.SSLError):
        shown(*contexts(Tls(theirs.process("node")), router))
    with pytest.raises(ssl.SSLError):
        shown(*contexts(node, Tls(theirs.process("router"))))


def test_only_nodes_require_a_callers_certificate(tmp_path: Path) -> None:
    ours = Files(tmp_path)
    stranger = ssl.create_default_context(cafile=str(ours.paths["authority"]))
    stranger.check_hostname = False
    router = Tls(ours.process("router")).server
    node = Tls(ours.process("node")).server
    assert router is not None
    assert node is not None
    assert b"BEGIN CERTIFICATE" in shown(router, stranger)
    with pytest.raises(ssl.SSLError):
        shown(node, stranger)


def test_a_renewed_certificate_serves_the_next_connection(tmp_path: Path) -> None:
    files = Files(tmp_path)
    node, router = Tls(files.process("node")), Tls(files.process("router"))
    before = shown(*contexts(node, router))
    renewed = files.issue()
    _touch(files)
    node.look()
    assert shown(*contexts(node, router)).split() == renewed.split() != before.split()


def test_half_a_renewal_leaves_the_old_certificate(tmp_path: Path) -> None:
    files = Files(tmp_path)
    node, router = Tls(files.process("node")), Tls(files.process("router"))
    before, key = shown(*contexts(node, router)), files.paths["key"].read_bytes()
    files.issue()
    files.paths["key"].write_bytes(key)
    _touch(files)
    with pytest.raises(ssl.SSLError):
        node.look()
    assert shown(*contexts(node, router)) == before


def _touch(files: Files) -> None:
    """Later than before, however coarse the disk's clock is."""
    for path in files.paths.values():
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (("certificate",), "go together"),
        (("key",), "go together"),
        (("authority",), "needs both"),
        (("certificate", "authority"), "given are VECTORFLEET_TLS_CERTIFICATE, VECTORFLEET_TLS_AUTHORITY"),
    ],
)
def test_files_that_make_no_sense_alone_are_refused(tmp_path: Path, parts: tuple[str, ...], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        Tls(Files(tmp_path).process("node", *parts))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda files: files.paths["certificate"].unlink(), "not a certificate and its key"),
        (lambda files: files.paths["key"].write_text("nothing"), "not a certificate and its key"),
        (lambda files: files.paths["authority"].write_text("nothing"), "not a certificate of an authority"),
    ],
)
def test_a_file_that_can_not_be_used_is_named(tmp_path: Path, spoil: Callable[[Files], None], words: str) -> None:
    files = Files(tmp_path)
    spoil(files)
    with pytest.raises(BadSettings, match=words):
        Tls(files.process("router"))
