"""Sessions: the start, the search and the end of an emulated AWS, with their refusals."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from rehearsal.emulator import processes
from rehearsal.emulator.supervisor import facts_file, pid_file
from rehearsal.session import SessionError, begin, clean, end, find


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SessionError, match=rf"port {port} on 127.0.0.1 is in use; .*--port N"):
            begin(tmp_path, port, detached=False)
    assert list(tmp_path.iterdir()) == []


def test_the_error_without_a_rehearsal_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"no rehearsal runs on .*; `vectorfleet up` starts one"):
        find(tmp_path)


def running_here(root: Path) -> None:
    """Record this process as the supervisor."""
    own = processes.identify(os.getpid(), "supervisor")
    assert own is not None
    processes.write_pid_file(pid_file(root), own)
    facts_file(root).write_text(json.dumps({"endpoint": "http://127.0.0.1:1"}))


def test_a_running_rehearsal_is_found_and_refuses_a_second(tmp_path: Path) -> None:
    running_here(tmp_path)
    assert find(tmp_path).endpoint == "http://127.0.0.1:1"
    with pytest.raises(SessionError, match=r"already runs on .*`vectorfleet down` ends it"):
        begin(tmp_path, 1, detached=False)


def test_a_reused_pid_is_not_the_supervisor(tmp_path: Path) -> None:
    running_here(tmp_path)
    recorded = json.loads(pid_file(tmp_path).read_text())
    pid_file(tmp_path).write_text(json.dumps(recorded | {"started": recorded["started"] - 1}))
    with pytest.raises(SessionError):
        find(tmp_path)
    assert end(tmp_path) == []


def test_a_folder_with_foreign_files_is_never_cleaned(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "logs").mkdir()
    with pytest.raises(SessionError, match=r"is not a state folder: it holds thesis.tex"):
        begin(tmp_path, 1, detached=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "thesis.tex"]


def test_cleaning_keeps_the_results(tmp_path: Path) -> None:
    for name in ("deploy.json", "outputs.json", "golden.json", "supervisor.tmp"):
        (tmp_path / name).write_text("{}")
    for name in ("logs", "instances", "report", "load"):
        (tmp_path / name).mkdir()
    clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["golden.json", "load", "report", "supervisor.tmp"]
