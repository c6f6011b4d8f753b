"""What a drill found, as JSON for machines and as a table for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runbooks.drills.audit import Audited
from runbooks.drills.judge import Golden
from runbooks.drills.measure import Recovery, Window
from runbooks.drills.watch import Sighting
from runbooks.durations import spoken
from runbooks.runner.run import Run
from runbooks.verdict import Verdict

COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red"}


@dataclass(frozen=True)
class DrillResult:
    """Everything a drill found; None where it did not get that far.

    Instants are monotonic seconds; adding `wall_offset_seconds` gives Unix time.
    """

    drill: str
    fleet: str
    shard: int
    verdict: Verdict
    reasons: tuple[str, ...]
    injection: str
    proof: str
    rto_target_seconds: float
    recovery: Recovery | None
    window: Window | None
    audited: Audited | None
    golden: Golden | None
    runbook: Run | None
    sightings: tuple[Sighting, ...]
    already_alarming: tuple[str, ...]
    canaries: int
    local: bool
    wall_offset_seconds: float
    ledger: Path

    def to_json(self) -> dict[str, Any]:
        """Plain values; the parts keep the names that they have here."""
        found = asdict(self)
        found |= {"ledger": str(self.ledger), "timing": self.timing, "alarm": self.alarm}
        if self.audited is not None:
            found["losses"] = asdict(self.audited.losses) | {
                "sentence": self.audited.losses.sentence,
                "rpo_count": self.audited.losses.rpo_count,
            }
        return found

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_json(), indent=2, default=str), encoding="utf-8")

    @property
    def timing(self) -> str:
        """Whose seconds these are: a rehearsal's are never a cloud's."""
        return "local: an emulated AWS on one machine" if self.local else "measured against AWS"

    @property
    def alarm(self) -> str:
        """Alarms are told apart from recovery: nobody waited for one here."""
        seconds = self.recovery.alarm_after_seconds if self.recovery else None
        if seconds is not None:
            return f"fired after {seconds:.1f} s"
        if self.already_alarming:
            return f"was on before the fault: {', '.join(self.already_alarming)}"
        return "did not fire"

    def render(self) -> RenderableType:
        """The drill for a terminal."""
        heading = Text(f"{self.drill}: {self.verdict.value}", style=f"bold {COLOURS.get(self.verdict, 'yellow')}")
        reasons = [Text(f"  {sentence}") for sentence in self.reasons]
        return Group(heading, *reasons, self._table())

    def _table(self) -> Table:
        table = Table(show_header=False)
        table.add_column(style="dim")
        table.add_column()
        for name, value in self._rows():
            table.add_row(name, value)
        return table

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("fault", self.injection), ("proof", self.proof)]
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
    """Nothing is measured finer than the canaries' interval, so a short phase says just that."""
    return _seconds(value) if value is None or value >= finest_seconds else f"≤ {finest_seconds:g} s"


def _loss_rows(audited: Audited) -> list[tuple[str, str]]:
    found = audited.losses
    counts = (
        f"{found.kept} kept, {found.lost} lost, {found.stale} stale, {found.resurrected} resurrected, "
        f"{found.phantom} phantom, {found.unknown} unknown, {found.refused} refused"
    )
    rows = [("RPO", found.sentence), ("writes", counts)]
    if not audited.agree:
        rows.append(("passes", f"{audited.passes} look-ups did not agree; the worst counts"))
    return rows + [("", example) for example in audited.examples]
