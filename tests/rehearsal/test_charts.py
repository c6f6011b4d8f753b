"""Charts of the report, made from the evidence."""

from __future__ import annotations

import json
from pathlib import Path

from rehearsal.charts import Mark, Point, arrivals, latency, merged


def test_arrivals_are_complete_partial_or_failed(tmp_path: Path) -> None:
    rows = [
        {"offset_seconds": 1.0, "outcome": "answered", "response_ms": 5.0, "partial": False},
        {"offset_seconds": 2.0, "outcome": "answered", "response_ms": 7.0, "partial": True},
        {"offset_seconds": 3.0, "outcome": "timeout", "response_ms": 5000.0},
        {"offset_seconds": 4.0, "outcome": "unsent"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"offset_seconds": 5.0, "outc'
    (tmp_path / "arrivals.jsonl").write_text(text)
    assert arrivals(tmp_path, shift_seconds=10.0) == [
        Point(11.0, 5.0, "good"),
        Point(12.0, 7.0, "partial"),
        Point(13.0, None, "failed"),
        Point(14.0, None, "failed"),
    ]


def test_a_run_without_evidence_has_no_points(tmp_path: Path) -> None:
    assert arrivals(tmp_path) == []


def test_a_picture_is_one_svg_element_with_its_marks_and_limits() -> None:
    points = [Point(0.0, 4.0, "good"), Point(1.0, None, "failed")]
    svg = latency(points, [Mark(0.5, "fault")], target_ms=200, alert_ms=500, x="seconds")
    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    for text in ("fault", "target 200 ms", "alert 500 ms", "no answer"):
        assert text in svg


def test_a_picture_without_points_is_still_a_picture() -> None:
    assert latency([], [], target_ms=200, alert_ms=500, x="seconds").startswith("<svg")


def test_marks_at_about_the_same_instant_share_a_line() -> None:
    marks = [Mark(5.0, "traffic good"), Mark(0.0, "fault"), Mark(4.9, "right answer")]
    assert merged(marks, 0.2) == [Mark(0.0, "fault"), Mark(4.9, "right answer, traffic good")]
