"""The rehearsal as a person runs it: standing, interrupted, killed, broken; never anything left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rehearsal import processes
from rehearsal.emulator.launch import PROJECT, free_port
from rehearsal.leftovers import leftovers

STEP_SECONDS = 120.0
END_SECONDS = 60.0


class Rehearsal:
    """`python -m rehearsal` on a state folder and a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "state"
        self.log = folder / "said.log"
        self.port = free_port()
        self.child: subprocess.Popen[bytes] | None = None

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rehearsal", *arguments, "--root", str(self.root)]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=STEP_SECONDS, check=False)

    def start_run(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rehearsal", "run", "--profile", "short"]
        command += ["--root", str(self.root), "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)
        return self.child

    def booted(self) -> bool:
        """Whether the fleet's instances have started."""
        assert self.child is None or self.child.poll() is None, self.log.read_text()
        return len(list(self.root.glob("logs/node-*.log"))) >= 4

    def nobody(self) -> bool:
        return leftovers(self.root) == []


def until(reached: Callable[[], bool], what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.1)


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    found = Rehearsal(tmp_path)
    yield found
    if found.child is not None and found.child.poll() is None:
        os.killpg(found.child.pid, signal.SIGKILL)
        found.child.wait()
    found.call("down")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_an_interrupted_rehearsal_leaves_nothing_and_still_reports(
    rehearsal: Rehearsal, number: signal.Signals
) -> None:
    child = rehearsal.start_run()
    until(rehearsal.booted, "a booting fleet", STEP_SECONDS)
    child.send_signal(number)
    assert child.wait(END_SECONDS) == 130
    assert leftovers(rehearsal.root) == []
    report = json.loads((rehearsal.root / "report" / "report.json").read_text())
    assert report["failure"] == "interrupted"


def test_a_killed_rehearsal_takes_every_process_with_it(rehearsal: Rehearsal) -> None:
    child = rehearsal.start_run()
    until(rehearsal.booted, "a booting fleet", STEP_SECONDS)
    child.kill()
    child.wait()
    until(rehearsal.nobody, "the end of every process", END_SECONDS)


def test_a_rehearsal_whose_aws_dies_fails_with_a_sentence_and_leaves_nothing(rehearsal: Rehearsal) -> None:
    child = rehearsal.start_run()
    until(rehearsal.booted, "a booting fleet", STEP_SECONDS)
    facts = json.loads((rehearsal.root / "emulator.json").read_text())
    os.kill(facts["pids"]["emulator"], signal.SIGKILL)
    assert child.wait(STEP_SECONDS + END_SECONDS) == 1
    assert leftovers(rehearsal.root) == []
    assert "Traceback" not in rehearsal.log.read_text()
    assert json.loads((rehearsal.root / "report" / "report.json").read_text())["failure"]


def test_a_standing_rehearsal_comes_up_twice_shows_itself_and_goes_down(rehearsal: Rehearsal) -> None:
    port = ("--port", str(rehearsal.port))
    first = rehearsal.call("up", *port)
    assert first.returncode == 0, first.stderr
    again = rehearsal.call("up", *port)
    assert again.returncode == 0, again.stderr
    status = json.loads(rehearsal.call("status", "--json").stdout)
    assert [len(shard["replicas"]) for shard in status["fleet"]["shards"]] == [2, 2]
    assert len(status["instances"]) == 7
    assert "router-" in rehearsal.call("logs").stdout
    down = rehearsal.call("down")
    assert down.returncode == 0, down.stderr
    assert leftovers(rehearsal.root) == []
    refused = rehearsal.call("status")
    assert refused.returncode == 64
    assert "no rehearsal runs" in refused.stderr


def test_leftovers_are_seen_at_all(rehearsal: Rehearsal, tmp_path: Path) -> None:
    environment = {**os.environ, "VECTORFLEET_DATA": f"{rehearsal.root}/instances/i-1/disk"}
    with (tmp_path / "log").open("wb") as log:
        child = processes.spawn(["sleep", "60"], environment=environment, directory=tmp_path, log=log)
    try:
        assert len(leftovers(rehearsal.root)) == 1
    finally:
        child.kill()
        child.wait()
