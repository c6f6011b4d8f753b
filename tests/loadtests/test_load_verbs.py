from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from click.testing import CliRunner

from loadtests.generate.gate_runs import Plan
from loadtests.load_verbs import gate_command, judge_command
from loadtests.run.evidence import EvidenceFolder, write_json
from loadtests.run.settings import Settings, option_fields
from tests.loadtests.samples import LOAD, evidence
from vectorfleet.door import main


def test_every_setting_is_an_option_of_the_gate() -> None:
    told = CliRunner().invoke(gate_command, ["--help"]).output
    assert all(f"--{item.name.replace('_', '-')}" in told for item in option_fields())


def test_judging_again_tells_the_verdict_as_json_and_exit_code(tmp_path: Path) -> None:
    run = evidence()
    plan = Plan("http://127.0.0.1:1", Settings(load=LOAD), runs=1)
    write_json(tmp_path / "gate.json", {"registered": plan.as_json(), "judged": None})
    kept = EvidenceFolder(tmp_path / "run-1")
    kept.register(run.registration)
    kept.add("arrivals", [asdict(arrival) for arrival in run.arrivals[:-1]])
    kept.add("floor", [asdict(probe) for probe in run.probes])
    kept.close(run.generators)
    done = CliRunner().invoke(judge_command, [str(tmp_path), "--json"])
    told = json.loads(done.output)
    assert (done.exit_code, told["verdict"]) == (3, "VOID")
    assert told["runs"][0]["arrivals"] == told["runs"][0]["planned"] - 1


def test_mistakes_are_sentences_and_end_with_64(tmp_path: Path) -> None:
    empty = CliRunner().invoke(judge_command, [str(tmp_path)])
    assert (empty.exit_code, "no readable gate.json" in empty.output) == (64, True)
    still = CliRunner().invoke(main, ["load", "gate", "--endpoint", "http://127.0.0.1:1", "--rate", "0"])
    assert (still.exit_code, "0.0 is not in the range 0<x<=100000." in still.output) == (64, True)
