"""The drill's verdict from what was found. VOID when the fault is unproven; a proven failure stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.drills.measure import Recovery
from runbooks.drills.rpo import Losses
from runbooks.durations import spoken
from runbooks.runner.run import Run
from runbooks.verdict import Verdict


@dataclass(frozen=True)
class Golden:
    """The golden set after recovery. `equal` is None when it could not be asked."""

    equal: bool | None
    sentence: str


@dataclass(frozen=True)
class Findings:
    """Everything a verdict rests on; None where the drill did not get that far."""

    unproven: Sequence[str]
    doubts: Sequence[str]
    recovery: Recovery | None
    losses: Losses | None
    golden: Golden | None
    runbook: Run | None
    rto_target_seconds: float


def judge(findings: Findings) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict with its reasons in sentences."""
    if findings.unproven:
        return Verdict.VOID, tuple(findings.unproven)
    failures = [*_recovery(findings), *_losses(findings), *_golden(findings), *_runbook(findings)]
    if failures:
        return Verdict.FAIL, tuple(failures)
    if doubts := [*findings.doubts, *_gaps(findings)]:
        return Verdict.VOID, tuple(doubts)
    return Verdict.PASS, tuple(_praise(findings))


def _recovery(findings: Findings) -> list[str]:
    recovery = findings.recovery
    if recovery is None:
        return []
    if recovery.rto_seconds is None:
        return ["The service did not get well while the drill watched, so there is no recovery time."]
    if recovery.rto_seconds > findings.rto_target_seconds:
        target = spoken(findings.rto_target_seconds)
        return [f"Recovery took {recovery.rto_seconds:.2f} s, longer than the target of {target}."]
    return []


def _losses(findings: Findings) -> list[str]:
    losses = findings.losses
    if losses is None or losses.none:
        return []
    counts = (
        (losses.lost, "acknowledged writes are lost"),
        (losses.stale, "documents show an older version than was acknowledged"),
        (losses.resurrected, "deleted documents came back"),
        (losses.phantom, "documents hold content that was never acknowledged"),
    )
    return [f"{count} {what}." for count, what in counts if count]


def _golden(findings: Findings) -> list[str]:
    golden = findings.golden
    return [golden.sentence] if golden is not None and golden.equal is False else []


def _runbook(findings: Findings) -> list[str]:
    run = findings.runbook
    if run is None or run.verdict is Verdict.PASS:
        return []
    return [f"The runbook {run.page} ended {run.verdict.value}: {run.sentence}."]


def _gaps(findings: Findings) -> list[str]:
    """What a PASS may not do without."""
    parts = (
        (findings.recovery, "The recovery was not measured."),
        (findings.losses, "The ledger was not audited, so nobody knows what was lost."),
        (findings.runbook, "The runbook was not run."),
    )
    gaps = [sentence for part, sentence in parts if part is None]
    if findings.golden is None or findings.golden.equal is None:
        gaps.append(findings.golden.sentence if findings.golden else "The golden set was not asked.")
    return gaps


def _praise(findings: Findings) -> list[str]:
    assert findings.recovery is not None
    assert findings.losses is not None
    assert findings.golden is not None
    target = spoken(findings.rto_target_seconds)
    return [
        f"Recovery took {findings.recovery.rto_seconds:.2f} s ± {findings.recovery.uncertainty_seconds:g} s, "
        f"within the target of {target}.",
        f"{findings.losses.sentence[:1].upper()}{findings.losses.sentence[1:]}.",
        findings.golden.sentence,
    ]
