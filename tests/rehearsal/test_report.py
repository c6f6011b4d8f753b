"""The report, rendered at every point that a rehearsal can reach."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rehearsal import report
from rehearsal.blue_green import judged, sentence
from rehearsal.record import Record
from vectorfleet.verdicts import Verdict

COMPLETE = json.loads((Path(__file__).parent / "complete_record.json").read_text())
FINDINGS = ("plan", "outputs", "deploy", "status", "ingest", "search", "golden", "load", "blue_green", "drill")


def record_up_to(count: int, **changed: Any) -> Record:
    record = Record("short", "python")
    for name in FINDINGS[:count]:
        record[name] = COMPLETE[name] | changed.get(name, {})
    return record


def rendered(record: Record, folder: Path) -> str:
    return report.write(record, folder).read_text()


@pytest.mark.parametrize("count", range(len(FINDINGS) + 1))
def test_a_rehearsal_that_ended_early_has_a_report(count: int, tmp_path: Path) -> None:
    record = record_up_to(count)
    record.failure = "the emulated AWS went away"
    page = rendered(record, tmp_path)
    assert "the emulated AWS went away" in page
    assert ">FAILED<" in page
    assert json.loads((tmp_path / "report.json").read_text())["failure"] == "the emulated AWS went away"


def test_a_page_opens_offline(tmp_path: Path) -> None:
    page = rendered(record_up_to(len(FINDINGS)), tmp_path)
    # XML namespaces are names, not addresses to fetch.
    fetched = re.findall(r'(?:src|href)="(?!#)([^"]+)"|url\((?!#)([^)]+)\)|@import', page)
    assert not fetched


def test_the_page_has_the_worst_verdict(tmp_path: Path) -> None:
    assert 'verdict PASS">PASS<' in rendered(record_up_to(len(FINDINGS)), tmp_path)
    failed = record_up_to(len(FINDINGS), drill={"verdict": "FAIL"})
    assert ">FAIL / PASS<" in rendered(failed, tmp_path)
    assert ">NOT-RUN<" in rendered(record_up_to(3), tmp_path)


def test_questions_and_documents_are_text_not_markup(tmp_path: Path) -> None:
    hits = [{"title": "<script>alert(1)</script>", "score": 0.5}]
    record = record_up_to(len(FINDINGS), search={"examples": [{"text": "<b>", "hits": hits}]})
    page = rendered(record, tmp_path)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_page_says_which_corpus_was_searched(tmp_path: Path) -> None:
    page = rendered(record_up_to(len(FINDINGS), ingest={"contents": "pages of <mine>"}), tmp_path)
    assert "corpus python" in page
    assert "pages of &lt;mine&gt; became" in page
    assert "AWS API" not in page


def test_recovery_time_and_its_parts_are_on_the_page(tmp_path: Path) -> None:
    page = rendered(record_up_to(len(FINDINGS)), tmp_path)
    assert f"{COMPLETE['drill']['recovery']['rto_seconds']:.2f} s" in page
    for part in ("detect", "restore", "validate", "traffic"):
        assert part in page


def test_the_page_reports_a_first_gate_that_was_void(tmp_path: Path) -> None:
    load = COMPLETE["load"] | {"void_before": ["the machine's speed changed"]}
    said = "A first measurement was VOID and is not counted: the machine&#39;s speed changed."
    assert said in rendered(record_up_to(len(FINDINGS), load=load), tmp_path)
    assert "A first measurement" not in rendered(record_up_to(len(FINDINGS)), tmp_path)


def test_the_page_says_that_a_gate_was_a_smoke_test(tmp_path: Path) -> None:
    for smoke in (True, False):
        page = rendered(record_up_to(len(FINDINGS), load=COMPLETE["load"] | {"smoke": smoke}), tmp_path)
        assert page.count(", a smoke test") == 2 * smoke
    assert ", a smoke test" not in rendered(record_up_to(len(FINDINGS)), tmp_path)


@pytest.mark.parametrize("count", range(len(FINDINGS) + 1))
def test_summary_has_a_line_for_each_step_reached(count: int) -> None:
    lines = [name for name, _ in report.summary(record_up_to(count))]
    of_steps = {"plan": ["plan", "bill"], "drill": ["drill", "RPO"], "blue_green": ["switch"]}
    of_steps |= {"outputs": [], "status": [], "search": []}
    assert lines == [line for name in FINDINGS[:count] for line in of_steps.get(name, [name])]


def test_summary_says_that_a_recovery_was_not_measured() -> None:
    void = COMPLETE["drill"] | {"verdict": "VOID", "recovery": None, "audited": None}
    record = record_up_to(len(FINDINGS))
    record["drill"] = {name: value for name, value in void.items() if name != "losses"}
    *_, last = report.summary(record)
    assert last == ("drill", "VOID: RB-02 A shard is lost; RTO not measured, target 2m")


def test_summary_says_that_no_search_was_answered() -> None:
    runs = [run | {"p95_ms": None} for run in COMPLETE["load"]["runs"]]
    found = dict(report.summary(record_up_to(len(FINDINGS), load={"runs": runs, "verdict": "FAIL"})))
    assert found["load"] == "FAIL: P95 not measured; target 200 ms"


def test_the_page_has_the_switch_and_its_checks(tmp_path: Path) -> None:
    page = rendered(record_up_to(len(FINDINGS)), tmp_path)
    for words in ("0 of 412 searches failed", "took 0.05 s", "0 of 190 writes lost", "Both slots hold the same"):
        assert words in page
    assert sentence(COMPLETE["blue_green"] | {"moves": 9}).startswith("9 times there and back: 0 of 412")
    unverified: dict[str, Any] = {"verdict": "VOID", "created": 71, "filled_seconds": 24.1, "verification": None}
    unverified["sentence"] = sentence(unverified)
    record = record_up_to(len(FINDINGS) - 1)
    record["blue_green"] = unverified
    assert "did not pass its verification, so no request was moved" in rendered(record, tmp_path)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, Verdict.PASS),
        ({"failed": 1}, Verdict.FAIL),
        ({"partial": 1}, Verdict.FAIL),
        ({"back_seconds": None}, Verdict.FAIL),
        ({"switch": "FAIL"}, Verdict.FAIL),
        ({"writes": COMPLETE["blue_green"]["writes"] | {"stale": 1}}, Verdict.FAIL),
        ({"writes": None}, Verdict.VOID),
        ({"searches": 0}, Verdict.VOID),
        ({"wanted": 413}, Verdict.VOID),
        ({"wanted": 413, "failed": 1}, Verdict.FAIL),
    ],
)
def test_a_switch_passes_only_without_any_loss(changed: dict[str, Any], verdict: Verdict) -> None:
    assert judged(COMPLETE["blue_green"] | changed) is verdict
