"""Peers that a program in their own Python environment fills and searches: LanceDB, Milvus Lite and Weaviate."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop import Loop
from benchmarks.peer import PeerError, Process, SearchLoad, answers_http, end_of, pin, server, start
from benchmarks.programs.asking import Task
from rehearsal.emulator.launch import PROJECT, free_port
from service.index.part import Vectors
from service.storage.builds import IndexParameters

PROGRAMS = Path(__file__).parent / "programs"
ANSWER_SECONDS = 900.0
HOST = "127.0.0.1"
LANCEDB, MILVUS, WEAVIATE = "LanceDB, in the caller's process", "Milvus Lite", "Weaviate"
MILVUS_SERVER = ("-m", "milvus_lite.cmdline", "server")
WEAVIATE_NODE = "bench"
WEAVIATE_GRPC = "GRPC_PORT"
WEAVIATE_PORTS = (
    *(WEAVIATE_GRPC, "CLUSTER_GOSSIP_BIND_PORT", "CLUSTER_DATA_BIND_PORT"),
    *("RAFT_PORT", "RAFT_INTERNAL_RPC_PORT"),
)
WEAVIATE_ALONE = {
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
    "CLUSTER_ADVERTISE_ADDR": HOST,
    "CLUSTER_HOSTNAME": WEAVIATE_NODE,
    "DISABLE_TELEMETRY": "true",
    "GO_PROFILING_DISABLE": "true",
    "RAFT_BOOTSTRAP_EXPECT": "1",
    "RAFT_JOIN": WEAVIATE_NODE,
}


class ProgramPeer:
    """A filled peer. Its caller has `processors`, or those of this process at that time."""

    def __init__(self, name: str, program: Program, asked: SearchLoad, processors: set[int] | None) -> None:
        self.name = name
        self._program, self._asked, self._processors = program, asked, processors

    def rows(self) -> list[list[int]]:
        return list(self._program.told({"queries": len(self._asked.queries)})["rows"])

    def turn(self, seconds: float) -> Loop:
        """Search for so many seconds, with one caller for each connection of other peers."""
        pin(self._program.process.pid, self._processors or os.sched_getaffinity(0))
        answer = self._program.told({"queries": len(self._asked.queries), "seconds": seconds})
        return Loop(answer["seconds"], answer["latencies"])


class Program:
    """A running program of `programs`, which answers each line with one line."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self._name, self.process, self._log = name, process, log

    def told(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the program's answer; raise PeerError."""
        orders, answers = self.process.stdin, self.process.stdout
        assert orders is not None
        assert answers is not None
        try:
            orders.write(json.dumps(order).encode() + b"\n")
            orders.flush()
        except BrokenPipeError:
            raise self._silent() from None
        heard, _, _ = select.select([answers], [], [], ANSWER_SECONDS)
        line = answers.readline() if heard else b""
        if not line:
            raise self._silent()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self._name}: {answer['error']}")
        return answer

    def _silent(self) -> PeerError:
        return PeerError(f"{self._name} gave no answer: {end_of(self._log)}")


@contextmanager
def program(name: str, python: Path, path: Path, log: Path) -> Iterator[Program]:
    """Yield a program in another Python; it ends with the block."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with start(name, [str(python), str(path)], {"PYTHONPATH": str(PROJECT)}, log, **pipes) as process:
        try:
            yield Program(name, process, log)
        finally:
            process.kill()


def task(place: str, folder: Path, vectors: Vectors, index: IndexParameters, asked: SearchLoad) -> Task:
    """Return the task of a program, with the vectors as files in `folder`."""
    held, queries = folder / "vectors.npy", folder / "queries.npy"
    np.save(held, vectors)
    np.save(queries, asked.queries)
    graph = {"m": index.m, "ef_construction": index.ef_construction, "ef_search": index.ef_search}
    return Task(place, str(held), str(queries), asked.k, asked.connections, **graph)


def fill(running: Program, what: Task) -> None:
    """Have the peer take all vectors and build its graph; raise PeerError."""
    running.told(asdict(what))


@contextmanager
def lance(
    python: Path, folder: Path, vectors: Vectors, index: IndexParameters, asked: SearchLoad, processors: set[int]
) -> Iterator[ProgramPeer]:
    """Yield a table in `folder`, searched on the servers' processors, since LanceDB has no server; raise PeerError."""
    with program(LANCEDB, python, PROGRAMS / "ask_lancedb.py", folder / "ask.log") as caller:
        fill(caller, task(str(folder / "tables"), folder, vectors, index, asked))
        yield ProgramPeer(LANCEDB, caller, asked, processors)


@contextmanager
def milvus(
    python: Path, folder: Path, vectors: Vectors, index: IndexParameters, asked: SearchLoad, processors: set[int]
) -> Iterator[ProgramPeer]:
    """Yield a filled server in `folder`, pinned to these processors, and its caller; raise PeerError."""
    port = free_port()
    command = [str(python), *MILVUS_SERVER, "--data-dir", str(folder / "data"), "--host", HOST, "--port", str(port)]
    with (
        server(MILVUS, command, folder / "milvus.log", partial(_accepts, port), {}) as process,
        program(MILVUS, python, PROGRAMS / "ask_milvus.py", folder / "ask.log") as caller,
    ):
        fill(caller, task(f"http://{HOST}:{port}", folder, vectors, index, asked))
        pin(process, processors)
        yield ProgramPeer(MILVUS, caller, asked, None)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def weaviate(
    programs: Path, folder: Path, vectors: Vectors, index: IndexParameters, asked: SearchLoad, processors: set[int]
) -> Iterator[ProgramPeer]:
    """Yield a filled server in `folder`, pinned to these processors, and its caller; raise PeerError."""
    port, ports = free_port(), {name: str(free_port()) for name in WEAVIATE_PORTS}
    command = [str(programs / "weaviate-server"), "--scheme", "http", "--host", HOST, "--port", str(port)]
    environment = WEAVIATE_ALONE | ports | {"PERSISTENCE_DATA_PATH": str(folder / "data")}
    answers = partial(answers_http, f"http://{HOST}:{port}/v1/.well-known/ready")
    with (
        server(WEAVIATE, command, folder / "weaviate.log", answers, environment) as process,
        program(WEAVIATE, programs / "python", PROGRAMS / "ask_weaviate.py", folder / "ask.log") as caller,
    ):
        fill(caller, task(f"{HOST}:{port} {HOST}:{ports[WEAVIATE_GRPC]}", folder, vectors, index, asked))
        pin(process, processors)
        yield ProgramPeer(WEAVIATE, caller, asked, None)
