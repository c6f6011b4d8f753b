"""Weaviate's server as a peer: the same vectors in one collection, asked by its client over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.foreign import PROGRAMS, Foreign, fill, program, task
from benchmarks.peer import Asked, answers_http, pin, server
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
    port, ports = free_port(), {name: str(free_port()) for name in PORTS}
    command = [str(programs / "weaviate-server"), "--scheme", "http", "--host", HOST, "--port", str(port)]
    environment = ALONE | ports | {"PERSISTENCE_DATA_PATH": str(folder / "data")}
    answers = partial(answers_http, f"http://{HOST}:{port}/v1/.well-known/ready")
    with (
        server(NAME, command, folder / "weaviate.log", answers, environment) as process,
        program(NAME, programs / "python", PROGRAMS / "ask_weaviate.py", folder / "ask.log") as caller,
    ):
        fill(caller, task(f"{HOST}:{port} {HOST}:{ports[GRPC]}", folder, vectors, index, asked))
        pin(process, processors)
        yield Foreign(NAME, caller, asked, None)
