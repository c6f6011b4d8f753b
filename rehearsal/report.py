"""The report: one page that opens offline, the same as JSON, and its lines for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from infra.facts import slo
from rehearsal import charts
from rehearsal.charts import Mark, Point
from rehearsal.record import Record
from runbooks.durations import spoken

TEMPLATE = Path(__file__).with_name("report.html.j2")
DRILL_BEFORE_SECONDS = 10.0
DRILL_AFTER_SECONDS = 15.0


def write(record: Record, folder: Path) -> Path:
    """Write report.html and report.json into `folder`, and return the page's path."""
    record.write(folder / "report.json")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": _number, "bytes": _bytes}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = folder / "report.html"
    page.write_text(template.render(**_context(record, folder)), encoding="utf-8")
    return page


def _context(record: Record, folder: Path) -> dict[str, Any]:
    found = json.loads(json.dumps(record.to_json(), default=str))
    names = ("plan", "deploy", "status", "ingest", "search", "golden", "load", "blue_green", "drill", "outputs")
    return {name: found.get(name) for name in names} | {
        "run": found,
        "slo": slo.TABLE,
        "outcome": _outcome(record),
        "topology": _topology(found.get("status"), found.get("outputs")),
        "load_chart": _load_chart(found, folder),
        "drill_chart": _drill_chart(found, folder),
    }


def summary(record: Record) -> Iterator[tuple[str, str]]:
    """Yield a name and a sentence for each finding that the rehearsal reached."""
    if plan := record.get("plan"):
        for slot, one in plan["slots"].items():
            asked = f"{one['vectors']:,} vectors × {one['dims']} dims, {one['peak_queries_per_second']:g} queries/s"
            found = f"{asked}: {one['shards']} shards × {one['replicas']} replicas"
            yield "plan", f"{slot}: {found}" if len(plan["slots"]) > 1 else found
        bill = plan["bill"]
        yield "bill", f"{bill['total_usd_per_month']:,.0f} USD a month at AWS's list prices of {bill['prices_as_of']}"
    if deploy := record.get("deploy"):
        first, second = deploy["first"], deploy["second"]
        made = f"{first['created']} resources created in {first['seconds']:.1f} s"
        yield "deploy", f"{made}; a second run: {second['writes']} writing calls"
    if ingest := record.get("ingest"):
        yield "ingest", f"{ingest['first']['written']:,} {ingest['contents']}: {ingest['chunks']:,} chunks"
    if golden := record.get("golden"):
        relevance = f"relevance {golden['relevance']:.3f}, target {golden['target']:g}"
        missed = "" if golden["met"] else " missed"
        yield "golden", f"{golden['questions']} questions: recall {golden['recall']:.3f}; {relevance}{missed}"
    if load := record.get("load"):
        yield "load", _load_sentence(load)
    if (switch := record.get("blue_green")) and "verdict" in switch:
        yield "switch", f"{switch['verdict']}: {switch['sentence']}"
    if drill := record.get("drill"):
        yield from _drill_sentences(drill)


def _load_sentence(load: Mapping[str, Any]) -> str:
    runs = load["runs"]
    slowest = max((run["p95_ms"] for run in runs if run["p95_ms"] is not None), default=None)
    p95 = "P95 not measured" if slowest is None else f"P95 {slowest:.0f} ms, the largest of {len(runs)} runs"
    smoke = " as a smoke test" if load.get("smoke") else ""
    return f"{load['verdict']}{smoke}: {p95}; target {load['settings']['p95_target_ms']:g} ms"


def _drill_sentences(drill: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    recovery, losses = drill["recovery"], drill.get("losses")
    rto = "not measured"
    if recovery and recovery["rto_seconds"] is not None:
        rto = f"{recovery['rto_seconds']:.2f} s ± {recovery['uncertainty_seconds']:g} s"
    yield "drill", f"{drill['verdict']}: {drill['drill']}; RTO {rto}, target {spoken(drill['rto_target_seconds'])}"
    if losses:
        yield "RPO", f"{losses['sentence']}; {losses['kept']} kept"


def _outcome(record: Record) -> str:
    if record.failure:
        return "FAILED"
    verdicts = {(record.get(name) or {}).get("verdict", "NOT-RUN") for name in ("load", "drill")}
    if switch := record.get("blue_green"):
        verdicts.add(switch.get("verdict", "NOT-RUN"))
    return "PASS" if verdicts == {"PASS"} else " / ".join(sorted(verdicts))


def _topology(status: Mapping[str, Any] | None, outputs: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the places of the replicas: zones as columns, shards as rows."""
    if not status:
        return None
    replicas = [replica | {"shard": shard["shard"]} for shard in status["shards"] for replica in shard["replicas"]]
    zones = sorted(
        {replica["zone"] for replica in replicas}
        | {cell["zone"] for slot in (outputs or {}).get("slots", {}).values() for cell in slot["cells"]}
    )
    rows = [
        (shard["shard"], [[r for r in replicas if (r["shard"], r["zone"]) == (shard["shard"], zone)] for zone in zones])
        for shard in status["shards"]
    ]
    return {"zones": zones, "rows": rows}


def _load_chart(found: Mapping[str, Any], folder: Path) -> str:
    if not found.get("load"):
        return ""
    points: list[Point] = []
    marks: list[Mark] = []
    load = found["load"]["settings"]
    length = load["warmup_seconds"] + load["window_seconds"]
    for number in range(1, len(found["load"]["runs"]) + 1):
        shift = (number - 1) * length
        points += charts.arrivals(folder / "load" / f"run-{number}", shift)
        marks.append(Mark(shift, f"run {number}"))
    return charts.latency(points, marks, **_limits(), x="seconds of load, warm-up included, runs side by side")


def _drill_chart(found: Mapping[str, Any], folder: Path) -> str:
    """Draw the background searches around the fault; time zero is the injection."""
    drill = found.get("drill")
    if not drill or not drill.get("recovery"):
        return ""
    recovery = drill["recovery"]
    injected = recovery["injected"]
    points = _background_searches(folder / "drill" / "load", drill["wall_offset_seconds"] + injected)
    marks = [Mark(0.0, "fault")]
    for key, name in (
        ("t1", "replacements launched"),
        ("t3", "data in place"),
        ("t4", "right answer"),
        ("t5", "traffic good"),
    ):
        if recovery[key] is not None:
            marks.append(Mark(recovery[key] - injected, name))
    if recovery["alarm_after_seconds"] is not None:
        marks.append(Mark(recovery["alarm_after_seconds"], "alarm"))
    last = marks[-1].at_seconds + DRILL_AFTER_SECONDS
    near = [point for point in points if -DRILL_BEFORE_SECONDS <= point.at_seconds <= last]
    return charts.latency(near, marks, **_limits(), x="seconds from the fault")


def _background_searches(run: Path, injected_at: float) -> list[Point]:
    """Read the searches of the drill's load; `injected_at` is in Unix seconds."""
    registered = run / "run.json"
    if not registered.exists():
        return []
    started_at = datetime.fromisoformat(json.loads(registered.read_text())["started_at"]).timestamp()
    return charts.arrivals(run, started_at - injected_at)


def _limits() -> dict[str, float]:
    return {"target_ms": slo.target("retrieval_p95_ms"), "alert_ms": slo.alert("retrieval_p95_ms")}


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
