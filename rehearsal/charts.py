"""Charts of the report: latency over time, of the gate's runs and of the drill, as inline SVG."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use("svg")
# Text that stays text keeps the page small and searchable.
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#889",
        "axes.labelcolor": "#445",
        "xtick.color": "#667",
        "ytick.color": "#667",
        "svg.hashsalt": "vectorfleet",
    }
)
from matplotlib.figure import Figure  # noqa: E402

MERGE_SHARE = 0.015
GOOD, SLOW, FAILED, LINE = "#2a7f9e", "#d98a00", "#c0392b", "#667"


class Point(NamedTuple):
    """One search: its due time, its response time (None: no answer), and its kind."""

    at_seconds: float
    response_ms: float | None
    kind: str


class Mark(NamedTuple):
    """An instant with a name."""

    at_seconds: float
    name: str


def latency(points: Sequence[Point], marks: Sequence[Mark], *, target_ms: float, alert_ms: float, x: str) -> str:
    """
    Draw response times over time on a logarithmic scale, as an SVG element.

    Failed and unanswered searches have no response time, so they form a row at the top.
    """
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    axes = figure.subplots()
    top = max([alert_ms * 2, *(p.response_ms for p in points if p.response_ms is not None)]) * 1.3
    for kind, colour, label in (("good", GOOD, "complete answer"), ("partial", SLOW, "partial answer")):
        chosen = [(p.at_seconds, p.response_ms) for p in points if p.kind == kind and p.response_ms is not None]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), ".", color=colour, markersize=3, alpha=0.6, label=label)
    failed = [p.at_seconds for p in points if p.kind == "failed"]
    if failed:
        axes.plot(failed, [top] * len(failed), "x", color=FAILED, markersize=4, label="no answer")
    axes.set_yscale("log")
    axes.set_ylim(1, top * 1.4)
    axes.set_xlabel(x)
    axes.set_ylabel("response time, ms")
    _draw_limit(axes, "target", target_ms)
    _draw_limit(axes, "alert", alert_ms)
    _draw_marks(axes, marks)
    if points:
        axes.legend(loc="lower right", frameon=False, fontsize=8, ncols=3)
    return _svg(figure)


def _draw_limit(axes: Any, name: str, value_ms: float) -> None:
    axes.axhline(value_ms, color=LINE, linewidth=0.8, linestyle="--")
    axes.annotate(
        f"{name} {value_ms:g} ms",
        (1, value_ms),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=8,
        color=LINE,
    )


def _draw_marks(axes: Any, marks: Sequence[Mark]) -> None:
    first, last = axes.get_xlim()
    for i, mark in enumerate(merged(marks, (last - first) * MERGE_SHARE)):
        axes.axvline(mark.at_seconds, color="#333", linewidth=0.8)
        # Names are wider than the gaps between marks, so their heights alternate.
        height = 1.02 + 0.075 * (i % 3)
        axes.annotate(
            mark.name,
            (mark.at_seconds, height),
            xycoords=("data", "axes fraction"),
            fontsize=8,
            ha="left",
            color="#333",
            annotation_clip=False,
        )


def merged(marks: Sequence[Mark], within_seconds: float) -> list[Mark]:
    """Merge each mark that is closer than that to the one before: both names share a line."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: mark.at_seconds):
        if kept and mark.at_seconds - kept[-1].at_seconds <= within_seconds:
            kept[-1] = Mark(kept[-1].at_seconds, f"{kept[-1].name}, {mark.name}")
        else:
            kept.append(mark)
    return kept


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def arrivals(run: Path, shift_seconds: float = 0.0) -> list[Point]:
    """Read the searches of one load run's evidence, shifted in time."""
    path = run / "arrivals.jsonl"
    if not path.exists():
        return []
    records = (json.loads(line) for line in path.read_text().splitlines() if line.endswith("}"))
    return [_point(record, shift_seconds) for record in records]


def _point(record: dict[str, Any], shift_seconds: float) -> Point:
    kind = "failed" if record["outcome"] != "answered" else "partial" if record.get("partial") else "good"
    response = record.get("response_ms") if kind != "failed" else None
    return Point(record["offset_seconds"] + shift_seconds, response, kind)
