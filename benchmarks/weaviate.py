"""Weaviate's server as a peer: the same vectors in one collection, asked by its client over gRPC."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.foreign import PROGRAMS, Foreign, fill, program, task
from benchmarks.peer import Asked, await_peer, pin
from rehearsal.emulator.launch import free_port
from service.index.part import Vectors
from service.storage.builds import IndexParameters

NAME = "Weaviate"
HOST = "127.0.0.1"
NODE = "bench"
GRPC = "GRPC_PORT"
PORTS = (GRPC, "CLUSTER_GOSSIP_BIND_PORT", "CLUSTER_DATA_BIND_PORT", "RAFT_PORT", "RAFT_INTERNAL_RPC_PORT")
ALONE = {
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
    "CLUSTER_ADVERTISE_ADDR": HOST,
    "CLUSTER_HOSTNAME": NODE,
    "DISABLE_TELEMETRY": "true",
    "GO_PROFILING_DISABLE": "true",
    "RAFT_BOOTSTRAP_EXPECT": "1",
    "RAFT_JOIN": NODE,
}


@contextmanager
def weaviate(
    programs: Path, folder: Path, vectors: Vectors, index: IndexParameters, asked: Asked, processors: set[int]
) -> Iterator[Foreign]:
    """A server of its own in `folder`, on these processors once it is filled, and who asks it; raises PeerError."""
    with (
        _server(programs / "weaviate-server", folder) as (server, places),
        program(NAME, programs / "python", PROGRAMS / "ask_weaviate.py", folder / "ask.log") as caller,
    ):
        fill(caller, task(places, folder, vectors, index, asked))
        pin(server.pid, processors)
        yield Foreign(NAME, caller, asked, None)


@contextmanager
def _server(path: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process, and its two addresses as the program is told them: HTTP first, then gRPC."""
    port, log = free_port(), folder / "weaviate.log"
    ports = {name: str(free_port()) for name in PORTS}
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [str(path), "--scheme", "http", "--host", HOST, "--port", str(port)],
            env=os.environ | ALONE | ports | {"PERSISTENCE_DATA_PATH": str(folder / "data")},
            stdout=sink,
            stderr=sink,
            cwd=folder,
            start_new_session=True,
        )
    try:
        await_peer(server, partial(_answers, port), NAME, log)
        yield server, f"{HOST}:{port} {HOST}:{ports[GRPC]}"
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://{HOST}:{port}/v1/.well-known/ready", timeout=1).close()
    except OSError:
        return False
    return True
