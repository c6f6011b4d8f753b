"""The rehearsal as a person runs it: standing, interrupted, killed, broken; never anything left behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from rehearsal.emulator import processes
from rehearsal.emulator.launch import free_port
from rehearsal.session import leftovers
from tests.e2e.rehearsal import END_SECONDS, STEP_SECONDS, Rehearsal, until


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_an_interrupted_rehearsal_leaves_only_its_report(rehearsal: Rehearsal, number: signal.Signals) -> None:
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


def test_a_rehearsal_whose_aws_dies_fails_with_a_sentence(rehearsal: Rehearsal) -> None:
    child = rehearsal.start_run()
    until(rehearsal.booted, "a booting fleet", STEP_SECONDS)
    facts = json.loads((rehearsal.root / "emulator.json").read_text())
    os.kill(facts["pids"]["emulator"], signal.SIGKILL)
    assert child.wait(STEP_SECONDS + END_SECONDS) == 1
    assert leftovers(rehearsal.root) == []
    assert "Traceback" not in rehearsal.log.read_text()
    assert json.loads((rehearsal.root / "report" / "report.json").read_text())["failure"]


def test_a_standing_rehearsal_starts_twice_and_ends(rehearsal: Rehearsal) -> None:
    rehearsal.up()
    rehearsal.up()
    status = json.loads(rehearsal.call("status", "--json").stdout)
    assert [len(shard["replicas"]) for shard in status["slots"]["blue"]["shards"]] == [2, 2]
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


def test_a_second_rehearsal_is_refused_and_the_first_goes_on(rehearsal: Rehearsal) -> None:
    rehearsal.up()
    refused = rehearsal.call("rehearse", "--profile", "short", "--port", str(free_port()))
    assert refused.returncode == 64
    assert "already runs" in refused.stderr
    status = rehearsal.call("status", "--json")
    assert status.returncode == 0, status.stderr
    assert len(json.loads(status.stdout)["instances"]) == 7
