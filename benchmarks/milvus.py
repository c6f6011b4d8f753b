"""Milvus Lite's server as a peer: the same vectors in one collection, asked by pymilvus over gRPC."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.foreign import PROGRAMS, Foreign, fill, program, task
from benchmarks.peer import Asked, pin, server
from rehearsal.emulator.launch import free_port
from service.index.part import Vectors
from service.storage.builds import IndexParameters

NAME = "Milvus Lite"
HOST = "127.0.0.1"
SERVER = ("-m", "milvus_lite.cmdline", "server")


@contextmanager
def milvus(
    python: Path, folder: Path, vectors: Vectors, index: IndexParameters, asked: Asked, processors: set[int]
) -> Iterator[Foreign]:
    """A server of its own in `folder`, on these processors once it is filled, and who asks it; raises PeerError."""
    port = free_port()
    command = [str(python), *SERVER, "--data-dir", str(folder / "data"), "--host", HOST, "--port", str(port)]
    with (
        server(NAME, command, folder / "milvus.log", partial(_answers, port), {}) as process,
        program(NAME, python, PROGRAMS / "ask_milvus.py", folder / "ask.log") as caller,
    ):
        fill(caller, task(f"http://{HOST}:{port}", folder, vectors, index, asked))
        pin(process, processors)
        yield Foreign(NAME, caller, asked, None)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
