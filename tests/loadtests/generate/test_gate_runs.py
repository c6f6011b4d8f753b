from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from loadtests.generate.gate_runs import ArrivalCount, Plan, gate_runs, rejudge
from loadtests.run.evidence import EvidenceError, EvidenceFolder, write_json
from loadtests.run.settings import Load, Settings, SettingsError
from tests.loadtests.samples import LOAD, evidence
from vectorfleet.verdicts import Verdict

PLAN = Plan("http://127.0.0.1:1", Settings(load=LOAD), runs=2)


def keep_gate(folder: Path, *loads: Load, plan: Plan = PLAN) -> None:
    folder.mkdir(exist_ok=True)
    write_json(folder / "gate.json", {"registered": plan.as_json(), "judged": None})
    for number, load in enumerate(loads, start=1):
        run = evidence(load)
        kept = EvidenceFolder(folder / f"run-{number}")
        kept.register(run.registration)
        kept.add("arrivals", [asdict(arrival) for arrival in run.arrivals])
        kept.add("floor", [asdict(probe) for probe in run.probes])
        kept.close(run.generators)


def test_verdict_follows_from_the_evidence_alone(tmp_path: Path) -> None:
    keep_gate(tmp_path, LOAD, replace(LOAD, seed=4))
    result = rejudge(tmp_path)
    assert result.judgement.verdict == Verdict.PASS
    assert [run.seed for run in result.runs] == [3, 4]
    assert json.loads(json.dumps(result.as_json()))["exit_code"] == 0


def test_run_without_evidence_makes_the_gate_void(tmp_path: Path) -> None:
    keep_gate(tmp_path, LOAD)
    result = rejudge(tmp_path)
    assert result.judgement.verdict == Verdict.VOID
    assert any(reason.startswith("run 2: 1 of 1 workers") for reason in result.judgement.void_reasons)


def test_line_taken_out_of_the_evidence_is_noticed(tmp_path: Path) -> None:
    keep_gate(tmp_path, LOAD, replace(LOAD, seed=4))
    arrivals = tmp_path / "run-2" / "arrivals.jsonl"
    arrivals.write_text("".join(arrivals.read_text().splitlines(keepends=True)[:-1]))
    assert rejudge(tmp_path).judgement.verdict == Verdict.VOID


def test_extension_counts_when_it_ran(tmp_path: Path) -> None:
    plan = replace(PLAN, extension=1)
    keep_gate(tmp_path, LOAD, replace(LOAD, seed=4), plan=plan)
    assert len(rejudge(tmp_path).runs) == 2
    keep_gate(tmp_path / "more", LOAD, replace(LOAD, seed=4), replace(LOAD, seed=5), plan=plan)
    assert len(rejudge(tmp_path / "more").runs) == 3


def test_seeds_are_registered() -> None:
    assert replace(PLAN, runs=3, extension=2).as_json()["seeds"] == [3, 4, 5, 6, 7]


def test_bad_settings_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        gate_runs(replace(PLAN, settings=Settings(load=replace(LOAD, queries="nowhere"))), tmp_path / "gate")
    assert not (tmp_path / "gate").exists()


def test_evidence_of_another_gate_is_not_overwritten(tmp_path: Path) -> None:
    keep_gate(tmp_path, LOAD)
    with pytest.raises(EvidenceError, match="already holds"):
        gate_runs(PLAN, tmp_path)
    with pytest.raises(EvidenceError, match=r"no readable gate\.json"):
        rejudge(tmp_path / "nowhere")


def test_arrivals_are_counted_once_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.jsonl"
    count = ArrivalCount(path, 200.0)
    count.update()
    assert count.searches == 0
    fast, slow = {"outcome": "answered", "response_ms": 9.0}, {"outcome": "answered", "response_ms": 200.0}
    path.write_text(json.dumps(fast) + "\n" + json.dumps(slow)[:10])
    count.update()
    assert (count.searches, count.slow) == (1, 0)
    unsent = {"outcome": "unsent", "response_ms": None}
    path.write_text("\n".join(map(json.dumps, (fast, slow, unsent))) + "\n")
    count.update()
    count.update()
    assert (count.searches, count.slow) == (3, 2)
