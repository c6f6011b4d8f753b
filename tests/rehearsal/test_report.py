"""The report renders at every point that a rehearsal can have reached, and needs nothing but itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rehearsal import report
from rehearsal.record import Record

COMPLETE = json.loads((Path(__file__).parent / "complete_record.json").read_text())
FINDINGS = ("plan", "outputs", "deploy", "status", "ingest", "search", "golden", "load", "drill")


def record_up_to(count: int, **changed: Any) -> Record:
    record = Record("short", "python")
    for name in FINDINGS[:count]:
        record[name] = COMPLETE[name] | changed.get(name, {})
    return record


def rendered(record: Record, folder: Path) -> str:
    return report.write(record, folder).read_text()


@pytest.mark.parametrize("count", range(len(FINDINGS) + 1))
def test_a_rehearsal_that_ended_early_has_a_report_of_what_it_found(count: int, tmp_path: Path) -> None:
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


def test_the_verdict_of_the_page_is_the_worst_that_was_said(tmp_path: Path) -> None:
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


def test_the_page_says_that_a_first_measurement_was_void_and_nothing_where_none_was(tmp_path: Path) -> None:
    load = COMPLETE["load"] | {"void_before": ["the machine's speed changed"]}
    said = "A first measurement was VOID and is not counted: the machine&#39;s speed changed."
    assert said in rendered(record_up_to(len(FINDINGS), load=load), tmp_path)
    assert "A first measurement" not in rendered(record_up_to(len(FINDINGS)), tmp_path)


def test_the_page_says_that_a_gate_was_a_smoke_test(tmp_path: Path) -> None:
    for smoke in (True, False):
        page = rendered(record_up_to(len(FINDINGS), load=COMPLETE["load"] | {"smoke": smoke}), tmp_path)
        assert page.count(", a smoke test") == 2 * smoke
    assert ", a smoke test" not in rendered(record_up_to(len(FINDINGS)), tmp_path)
