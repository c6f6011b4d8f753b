"""The result of a drill, as JSON and as a table; a pass is also left in the index bucket."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.stack.outputs import Stack
from runbooks.drills.audit import AuditReport
from runbooks.drills.judge import Findings
from runbooks.drills.measure import Recovery
from runbooks.drills.watch import Sighting
from runbooks.durations import spoken
from service.wire.messages import PASSED_DRILL_KEY, PassedDrill
from vectorfleet.verdicts import Verdict

COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red"}


@dataclass(kw_only=True)
class DrillResult(Findings):
    """The findings of a drill with its verdict.

    Instants are monotonic seconds; adding `wall_offset_seconds` gives Unix time.
    """

    drill: str
    fleet: str
    shard: int
    verdict: Verdict
    reasons: tuple[str, ...]
    rto_target_seconds: float
    sightings: tuple[Sighting, ...]
    already_alarming: tuple[str, ...]
    local: bool
    wall_offset_seconds: float
    ledger: Path

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the parts keep their names."""
        found = {name: value for name, value in asdict(self).items() if name not in ("unproven", "doubts")}
        found |= {"injection": self.fault, "ledger": str(self.ledger), "timing": self.timing, "alarm": self.alarm}
        if self.audited is not None:
            losses = self.audited.losses
            found["losses"] = asdict(losses) | {"sentence": losses.sentence, "rpo_count": losses.rpo_count}
        return found

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_json(), indent=2, default=str), encoding="utf-8")

    @property
    def fault(self) -> str:
        return self.injection.sentence if self.injection else "none"

    @property
    def timing(self) -> str:
        """The system that was timed: seconds of a rehearsal are not those of a cloud."""
        return "local: an emulated AWS on one machine" if self.local else "measured against AWS"

    @property
    def alarm(self) -> str:
        """A sentence on the alarm, which is not part of the recovery."""
        seconds = self.recovery.alarm_after_seconds if self.recovery else None
        if seconds is not None:
            return f"fired after {seconds:.1f} s"
        if self.already_alarming:
            return f"was on before the fault: {', '.join(self.already_alarming)}"
        return "did not fire"

    def render(self) -> RenderableType:
        """Return the result for a terminal."""
        heading = Text(f"{self.drill}: {self.verdict.value}", style=f"bold {COLOURS.get(self.verdict, 'yellow')}")
        reasons = [Text(f"  {sentence}") for sentence in self.reasons]
        table = Table(show_header=False)
        table.add_column(style="dim")
        table.add_column()
        for name, value in self._rows():
            table.add_row(name, value)
        return Group(heading, *reasons, table)

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("fault", self.fault), ("proof", self.proof)]
        if self.recovery is not None:
            rows += _recovery_rows(self.recovery, self.rto_target_seconds)
        rows.append(("alarm", self.alarm))
        if self.audited is not None:
            rows += _loss_rows(self.audited)
        if self.golden is not None:
            rows.append(("golden set", self.golden.sentence))
        if self.runbook is not None:
            rows.append(("runbook", f"{self.runbook.page} {self.runbook.verdict.value}: {self.runbook.sentence}"))
        return [*rows, ("timing", self.timing)]


def _recovery_rows(recovery: Recovery, target_seconds: float) -> list[tuple[str, str]]:
    phases = recovery.phases
    finest = recovery.uncertainty_seconds
    parts = (
        ("detect", _phase(phases.detect_seconds, finest)),
        ("decide", phases.decide),
        ("restore", _phase(phases.restore_seconds, finest)),
        ("validate", _phase(phases.validate_seconds, finest)),
        ("traffic", _phase(phases.traffic_seconds, finest)),
    )
    rto = f"{_seconds(recovery.rto_seconds)} ± {recovery.uncertainty_seconds:g} s, target {spoken(target_seconds)}"
    rows = [("RTO", rto), ("from injection", _seconds(recovery.from_injection_seconds))]
    return rows + [(f"  {name}", value) for name, value in parts]


def _seconds(value: float | None) -> str:
    return "not seen" if value is None else f"{value:.2f} s"


def _phase(value: float | None, finest_seconds: float) -> str:
    """Return a phase in seconds, or a bound if it is shorter than the canaries' interval."""
    return _seconds(value) if value is None or value >= finest_seconds else f"≤ {finest_seconds:g} s"


def _loss_rows(audited: AuditReport) -> list[tuple[str, str]]:
    found = audited.losses
    counts = (
        f"{found.kept} kept, {found.lost} lost, {found.stale} stale, {found.resurrected} resurrected, "
        f"{found.phantom} phantom, {found.unknown} unknown, {found.refused} refused"
    )
    rows = [("RPO", found.sentence), ("writes", counts)]
    if not audited.agree:
        rows.append(("passes", f"{audited.passes} look-ups did not agree; the worst counts"))
    return rows + [("", example) for example in audited.examples]


def leave_pass(stack: Stack, page: str) -> None:
    """
    Write page and time, by the store's clock, where routers find them: an alarm rings if the last pass is too old.

    A stack without the output `index_bucket` has no such place. Raises botocore's errors.
    """
    if not stack.index_bucket:
        return
    client: Any = stack.aws("s3")
    answer = client.head_bucket(Bucket=stack.index_bucket)
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    body = msgspec.json.encode(PassedDrill(page, int(now.timestamp() * 1000)))
    client.put_object(Bucket=stack.index_bucket, Key=PASSED_DRILL_KEY, Body=body)
