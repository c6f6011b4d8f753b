"""The verdict of a drill from its findings: VOID if the fault is unproven, else FAIL for any proven failure."""

from __future__ import annotations

from dataclasses import dataclass, field

from runbooks.drills.audit import AuditReport
from runbooks.drills.golden_comparison import GoldenComparison
from runbooks.drills.measure import Recovery
from runbooks.durations import spoken
from runbooks.faults.shard_lost import Injection
from runbooks.observe.windows import Window
from runbooks.runner.run import Run
from vectorfleet.verdicts import Verdict


@dataclass
class Findings:
    """The findings of a drill; None until the drill has got that far."""

    unproven: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    injection: Injection | None = None
    proof: str = "the fault was not injected"
    recovery: Recovery | None = None
    window: Window | None = None
    audited: AuditReport | None = None
    golden: GoldenComparison | None = None
    runbook: Run | None = None
    canaries: int = 0


def judge(findings: Findings, rto_target_seconds: float) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict with its reasons in sentences."""
    if findings.unproven:
        return Verdict.VOID, tuple(findings.unproven)
    if failures := [
        *_slow_recovery(findings.recovery, rto_target_seconds),
        *_losses(findings),
        *_differences(findings),
    ]:
        return Verdict.FAIL, tuple(failures)
    if doubts := [*findings.doubts, *_gaps(findings)]:
        return Verdict.VOID, tuple(doubts)
    return Verdict.PASS, tuple(_measured(findings, rto_target_seconds))


def _slow_recovery(recovery: Recovery | None, target_seconds: float) -> list[str]:
    if recovery is None:
        return []
    if recovery.rto_seconds is None:
        return ["The service did not recover while the drill watched, so there is no recovery time."]
    if recovery.rto_seconds > target_seconds:
        return [f"Recovery took {recovery.rto_seconds:.2f} s, longer than the target of {spoken(target_seconds)}."]
    return []


def _losses(findings: Findings) -> list[str]:
    if findings.audited is None:
        return []
    losses = findings.audited.losses
    counts = (
        (losses.lost, "acknowledged writes are lost"),
        (losses.stale, "documents show an older version than was acknowledged"),
        (losses.resurrected, "deleted documents came back"),
        (losses.phantom, "documents hold content that was never acknowledged"),
    )
    return [f"{count} {what}." for count, what in counts if count]


def _differences(findings: Findings) -> list[str]:
    golden, run = findings.golden, findings.runbook
    sentences = [golden.sentence] if golden is not None and golden.equal is False else []
    if run is not None and run.verdict is not Verdict.PASS:
        sentences.append(f"The runbook {run.page} ended {run.verdict.value}: {run.sentence}.")
    return sentences


def _gaps(findings: Findings) -> list[str]:
    """Return a sentence for each measurement that a PASS needs and that is missing."""
    parts = (
        (findings.recovery, "The recovery was not measured."),
        (findings.audited, "The ledger was not audited, so the loss is unknown."),
        (findings.runbook, "The runbook was not run."),
    )
    gaps = [sentence for part, sentence in parts if part is None]
    if findings.golden is None or findings.golden.equal is None:
        gaps.append(findings.golden.sentence if findings.golden else "The golden set was not asked.")
    return gaps


def _measured(findings: Findings, target_seconds: float) -> list[str]:
    recovery, audited, golden = findings.recovery, findings.audited, findings.golden
    assert recovery is not None
    assert audited is not None
    assert golden is not None
    loss = audited.losses.sentence
    return [
        f"Recovery took {recovery.rto_seconds:.2f} s ± {recovery.uncertainty_seconds:g} s, "
        f"within the target of {spoken(target_seconds)}.",
        f"{loss[:1].upper()}{loss[1:]}.",
        golden.sentence,
    ]
