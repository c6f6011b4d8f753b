"""PostgreSQL with pgvector as a peer: the same vectors in one table, searched by pgbench with prepared statements."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.closed_loop import Loop
from benchmarks.peer import PeerError, SearchLoad, await_peer
from service.index.part import Vectors
from service.storage.builds import IndexParameters

USER = "bench"
UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
MEMORY = "1GB"
# The query's vector is read from a table: pgbench can't send one, and parsing it would cost the server more.
NEAREST = "SELECT id FROM items ORDER BY embedding <#> (SELECT q FROM queries WHERE queries.id = :r) LIMIT {k}"
EVERY = (
    "SELECT queries.id, near.id FROM queries CROSS JOIN LATERAL "
    "(SELECT id FROM items ORDER BY embedding <#> queries.q LIMIT {k}) near ORDER BY queries.id"
)


class PgVector:
    """A filled table with its index."""

    name = "pgvector"

    def __init__(self, programs: Programs, asked: SearchLoad) -> None:
        self._programs, self._asked = programs, asked

    def rows(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self._asked.queries]
        for line in self._programs.sql(EVERY.format(k=self._asked.k)).splitlines():
            query, row = line.split("|")
            found[int(query)].append(int(row))
        return found

    def turn(self, seconds: float) -> Loop:
        """Search for so many whole seconds."""
        folder = self._programs.folder / "turn"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        last = len(self._asked.queries) - 1
        script = folder / "search.sql"
        script.write_text(f"\\set r random(0, {last})\n{NEAREST.format(k=self._asked.k)};\n")
        clients = ["-c", str(self._asked.connections), "-j", "1", "-T", str(max(1, round(seconds)))]
        started = time.perf_counter()
        self._programs.run("pgbench", "-n", "-M", "prepared", *clients, "-l", "-f", str(script), USER, cwd=folder)
        took = time.perf_counter() - started
        lines = (line for path in folder.glob("pgbench_log.*") for line in path.read_text().splitlines())
        return Loop(min(took, max(1.0, round(seconds))), [int(line.split()[2]) / 1e6 for line in lines])


class Programs:
    """PostgreSQL's programs, with their own cluster in a folder."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
        self.data, self.log = folder / "data", folder / "postgres.log"

    def command(self, program: str, *arguments: str) -> list[str]:
        return [str(self._programs / program), *arguments]

    def run(self, program: str, *arguments: str, cwd: Path | None = None, given: str | None = None) -> str:
        """Run a program and return its output; raise PeerError with the end of its errors."""
        done = subprocess.run(
            self.command(program, *arguments),
            env=os.environ | {"PGHOST": str(self.folder), "PGUSER": USER},
            cwd=cwd or self.folder,
            input=given,
            capture_output=True,
            text=True,
            user=self._user if program == "initdb" else None,
        )
        if done.returncode:
            raise PeerError(f"{program} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the server, which listens on a socket in the folder alone."""
        options = ("shared_buffers=" + MEMORY, "maintenance_work_mem=" + MEMORY, "listen_addresses=", "fsync=off")
        chosen = [part for option in options for part in ("-c", option)]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                self.command("postgres", "-D", str(self.data), "-k", str(self.folder), *chosen),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                user=self._user,
            )

    def sql(self, *statements: str) -> str:
        """Run statements and return their rows, one a line, with a bar between columns."""
        commands = [part for statement in statements for part in ("-c", statement)]
        return self.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *commands, USER)

    def copy(self, table: str, vectors: Vectors) -> None:
        """Copy every vector into a table, numbered from 0."""
        lines = (f"{row}\t[{','.join(map(repr, vector.tolist()))}]" for row, vector in enumerate(vectors))
        text = "\n".join((*lines, ""))
        self.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"COPY {table} FROM STDIN", USER, given=text)


@contextmanager
def pgvector(
    programs: Path, folder: Path, vectors: Vectors, index: IndexParameters, asked: SearchLoad, processors: set[int]
) -> Iterator[PgVector]:
    """Yield a filled server in `folder`, whose new processes are on these processors; raise PeerError."""
    postgres = Programs(programs, folder)
    postgres.run("initdb", "-D", str(postgres.data), "-U", USER, "--auth=trust", "-E", "UTF8", "--no-sync")
    server = postgres.serve()
    try:
        await_peer(server, partial(_answers, postgres), "PostgreSQL", postgres.log)
        _fill(postgres, vectors, index, asked.queries)
        # A new child of the server serves each connection.
        os.sched_setaffinity(server.pid, processors)
        yield PgVector(postgres, asked)
    finally:
        server.terminate()
        server.wait()


def _answers(postgres: Programs) -> bool:
    try:
        postgres.run("createdb", USER)
    except PeerError:
        return False
    return True


def _fill(postgres: Programs, vectors: Vectors, index: IndexParameters, queries: Vectors) -> None:
    dims = vectors.shape[1]
    tables: Sequence[str] = (
        "CREATE EXTENSION vector",
        f"CREATE TABLE items (id int, embedding vector({dims}))",
        f"CREATE TABLE queries (id int PRIMARY KEY, q vector({dims}))",
    )
    postgres.sql(*tables)
    postgres.copy("items", vectors)
    postgres.copy("queries", queries)
    parameters = f"m = {index.m}, ef_construction = {index.ef_construction}"
    postgres.sql(
        f"CREATE INDEX ON items USING hnsw (embedding vector_ip_ops) WITH ({parameters})",
        f"ALTER DATABASE {USER} SET hnsw.ef_search = {index.ef_search}",
        "VACUUM ANALYZE",
    )
