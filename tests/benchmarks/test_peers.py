"""Every peer is compared with our searches of the same round."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import foreign, peers, pgvector
from benchmarks.closed_loop import Loop
from benchmarks.peer import PeerError, SearchLoad, server
from benchmarks.pgvector import PgVector, Programs
from benchmarks.programs.asking import Coroutines, Searches, Threads
from service.storage.builds import IndexParameters
from vectorfleet.door import main as door

INDEX = IndexParameters("hnsw", "cosine", 16, 200, 100)
ASKED = SearchLoad(np.eye(3, 2, dtype=np.float32), 5, 4)
# A peer's program whose peer is its own memory, and which prints as libraries do.
PROGRAM = """
import numpy as np
from benchmarks.programs.asking import Task, Threads, serve

def filled(task):
    print("welcome")
    vectors, queries = np.load(task.vectors), np.load(task.queries)
    told = [task.k, task.callers, task.m, task.ef_construction, task.ef_search]

    def near(query):
        print("searching")
        return [int(np.argmax(vectors @ queries[query])), *told, len(task.place)]

    return Threads(near)

serve(filled)
"""


def loop(searches: int, seconds: float = 1.0) -> Loop:
    return Loop(1.0, [seconds] * searches)


def test_ratios_are_of_the_same_round() -> None:
    turns = [[loop(100, 0.001), loop(50, 0.004)], [loop(10, 0.01), loop(5, 0.04)], [loop(300), loop(100, 4.0)]]
    figures = peers._figures("peer", 0.99, [turn[1] for turn in turns], turns)
    assert (figures["ours"], figures["least"], figures["most"]) == (2.0, 2.0, 3.0)
    assert (figures["per_second"], figures["ours_p95"]) == (50, 0.25)
    own = peers._figures("ours", 0.99, [turn[0] for turn in turns], turns)
    assert (own["ours"], own["least"], own["most"], own["ours_p95"]) == (1.0, 1.0, 1.0, 1.0)


class Answering(Programs):
    """Programs that answer without being there."""

    def __init__(self, folder: Path, rows: str) -> None:
        self.folder, self._rows, self.asked = folder, rows, [""]

    def sql(self, *statements: str) -> str:
        self.asked = list(statements)
        return self._rows

    def run(self, program: str, *arguments: str, cwd: Path | None = None, given: str | None = None) -> str:
        assert cwd is not None
        self.asked = [program, *arguments]
        (cwd / "pgbench_log.7").write_text("0 0 1500 0 1 2\n1 0 2500 0 1 2\n")
        (cwd / "pgbench_log.7.1").write_text("0 1 500 0 1 2\n")
        return ""


def test_rows_and_latencies_of_postgresql_are_read(tmp_path: Path) -> None:
    programs = Answering(tmp_path, "0|7\n0|3\n2|9\n")
    peer = PgVector(programs, SearchLoad([[0.0]] * 3, 5, 4))  # type: ignore[arg-type]
    assert peer.rows() == [[7, 3], [], [9]]
    assert programs.asked == [pgvector.EVERY.format(k=5)]
    assert sorted(peer.turn(1.0).latencies) == [0.0005, 0.0015, 0.0025]
    assert programs.asked[:8] == ["pgbench", "-n", "-M", "prepared", "-c", "4", "-j", "1"]
    assert "LIMIT 5" in (tmp_path / "turn" / "search.sql").read_text()


@contextmanager
def running(folder: Path, source: str) -> Iterator[foreign.Program]:
    path = folder / "ask.py"
    path.write_text(source)
    with foreign.program("Fake", Path(sys.executable), path, folder / "ask.log") as program:
        yield program


def fill(folder: Path, program: foreign.Program) -> None:
    vectors = np.asarray([[0.0, 1.0], [1.0, 0.0]], np.float32)
    foreign.fill(program, foreign.task("here", folder, vectors, INDEX, ASKED))


def test_a_program_answers_while_its_library_prints(tmp_path: Path) -> None:
    with running(tmp_path, PROGRAM) as program:
        fill(tmp_path, program)
        peer = foreign.ProgramPeer("Fake", program, ASKED, None)
        parameters = [5, 4, 16, 200, 100, len("here")]
        assert peer.rows() == [[1, *parameters], [0, *parameters], [0, *parameters]]
        turn = peer.turn(0.2)
    assert turn.latencies
    assert 0 < min(turn.latencies) <= max(turn.latencies) <= turn.seconds
    assert turn.seconds >= 0.2
    assert "welcome" in (tmp_path / "ask.log").read_text()
    assert program.process.poll() is not None


def test_an_in_process_library_has_the_servers_processors(tmp_path: Path) -> None:
    own = os.sched_getaffinity(0)
    with running(tmp_path, PROGRAM) as program:
        fill(tmp_path, program)
        pid = program.process.pid
        foreign.ProgramPeer("Fake", program, ASKED, {min(own)}).turn(0.05)
        assert os.sched_getaffinity(pid) == {min(own)}
        foreign.ProgramPeer("Fake", program, ASKED, None).turn(0.05)
        assert os.sched_getaffinity(pid) == own


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/server"], "Fake can't be started: .*No such file"),
        ([sys.executable, "-c", "print('no room'); raise SystemExit(3)"], "Fake ended: no room"),
    ],
)
def test_a_server_that_does_not_stand_says_why(tmp_path: Path, command: list[str], said: str) -> None:
    with pytest.raises(PeerError, match=said):
        stood(tmp_path, command, False)


def test_a_server_ends_with_its_block(tmp_path: Path) -> None:
    pid = stood(tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"], True)
    assert not Path(f"/proc/{pid}").exists()


def stood(folder: Path, command: list[str], answers: bool) -> int:
    with server("Fake", command, folder / "fake.log", lambda: answers, {}) as process:
        assert Path(f"/proc/{process}").exists()
        return process


def found(folder: Path, source: str) -> list[list[int]]:
    with running(folder, source) as program:
        fill(folder, program)
        return foreign.ProgramPeer("Fake", program, ASKED, None).rows()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PROGRAM.replace('print("welcome")', 'raise ValueError("no such index")'), "Fake: ValueError: no such index"),
        (PROGRAM.replace('print("searching")', 'raise KeyError("gone")'), "Fake: KeyError: 'gone'"),
        ("import nowhere_to_be_found", "Fake gave no answer: .*No module named 'nowhere_to_be_found'"),
        ("import os; os.read(0, 1); os._exit(3)", "Fake gave no answer"),
    ],
)
def test_a_programs_failure_is_reported(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(PeerError, match=f"(?s){said}"):
        found(tmp_path, source)


class Watched:
    """A peer that knows how many ask it at once, and what for."""

    def __init__(self) -> None:
        self.now, self.most = 0, 0
        self._lock = threading.Lock()
        self.queries: list[int] = []

    def near(self, query: int) -> list[int]:
        self._begin(query)
        time.sleep(0.02)
        self._end()
        return [query]

    async def near_later(self, query: int) -> list[int]:
        self._begin(query)
        await asyncio.sleep(0.02)
        self._end()
        return [query]

    def _begin(self, query: int) -> None:
        with self._lock:
            self.queries.append(query)
            self.now += 1
            self.most = max(self.most, self.now)

    def _end(self) -> None:
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize("kind", ["threads", "coroutines"])
def test_all_callers_search_at_once(kind: str) -> None:
    watched = Watched()
    with asyncio.Runner() as runner:
        searches: Searches = Threads(watched.near) if kind == "threads" else Coroutines(watched.near_later, runner)
        assert searches.rows(3) == [[0], [1], [2]]
        assert watched.most == 1
        watched.queries.clear()
        turn = searches.turn(5, 3, 0.3)
    assert watched.most == 3
    assert len(turn.latencies) == len(watched.queries)
    assert set(watched.queries) == set(range(5))
    assert min(turn.latencies) >= 0.02
    assert 0.3 <= turn.seconds < 5


def test_the_link_to_an_environments_python_is_not_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    given: list[peers.Setting] = []

    def measure(_vectors: Any, _asked: Any, _index: Any, setting: peers.Setting) -> list[dict[str, Any]]:
        given.append(setting)
        return []

    monkeypatch.setattr(peers, "measure", measure)
    monkeypatch.chdir(tmp_path)
    chosen = ["--milvus", "python", "--lancedb", "python", "--weaviate", "."]
    done = CliRunner().invoke(door, ["bench", "peers", "--rows", "2000", "--dims", "4", *chosen])
    assert done.exit_code == 0, done.output
    python = tmp_path / "python"
    assert given[0].programs == {"milvus": python, "lancedb": python, "weaviate": tmp_path}
    assert set(given[0].programs) <= set(peers.PEERS)
    assert CliRunner().invoke(door, ["bench", "peers"]).exit_code == 64
