"""Child processes: all of them end, and no other process is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rehearsal.emulator import processes
from tests.wire.fleet import eventually

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
    "print('ready', flush=True)\n"
    "time.sleep(600)"
)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ignores SIGTERM and has a child of its own."""
    with (tmp_path / "log").open("wb") as log:
        popen = processes.spawn([sys.executable, "-c", STUBBORN], environment=os.environ, directory=tmp_path, log=log)
    eventually(lambda: b"ready" in (tmp_path / "log").read_bytes())
    process = processes.identify(popen.pid)
    yield popen
    if process:
        processes.kill_session(process)
    popen.wait()


def test_stop_ends_the_whole_session_even_if_it_ignores_sigterm(child: subprocess.Popen[bytes]) -> None:
    process = processes.identify(child.pid)
    assert process is not None
    members = processes.session(child.pid)
    assert len(members) == 2
    assert processes.stop(process, grace_seconds=0.1) == []
    assert [pid for pid in members if processes.start_time(pid)] == []


def test_a_reused_pid_is_never_touched(child: subprocess.Popen[bytes]) -> None:
    process = processes.identify(child.pid)
    assert process is not None
    stranger = replace(process, started=process.started - 1)
    assert not processes.alive(stranger)
    assert not processes.signal_group(stranger, 9)
    assert processes.kill_session(stranger) == []
    assert processes.alive(process)


def test_orphans_of_a_dead_leader_are_found(child: subprocess.Popen[bytes]) -> None:
    process = processes.identify(child.pid)
    assert process is not None
    child.kill()
    child.wait()
    assert len(processes.session(process.pid)) == 1
    assert processes.kill_session(process) == []
    assert processes.session(process.pid) == []


def test_pid_files_name_the_living_only(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    process = processes.identify(child.pid, "stubborn")
    assert process is not None
    folder = tmp_path / "pids"
    processes.write_pid_file(folder / "a.pid", process)
    processes.write_pid_file(folder / "b.pid", replace(process, started=1))
    (folder / "c.pid").write_text("not json")
    assert processes.living(folder) == [process]
    processes.kill_session(process)
    assert processes.living(folder) == []


def test_spawning_from_another_thread_is_refused(tmp_path: Path) -> None:
    problems: list[Exception] = []

    def spawn() -> None:
        try:
            processes.spawn(["true"], environment={}, directory=tmp_path, log=None)  # type: ignore[arg-type]
        except RuntimeError as problem:
            problems.append(problem)

    thread = threading.Thread(target=spawn)
    thread.start()
    thread.join()
    assert "main thread" in str(problems[0])
