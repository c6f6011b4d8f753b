"""What a drill has gathered so far, and the verdict that it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from runbooks.drills.audit import Audited
from runbooks.drills.judge import Findings, Golden, judge
from runbooks.drills.measure import Recovery, Window
from runbooks.faults.fault import Injection
from runbooks.runner.run import Run
from runbooks.verdict import Verdict


@dataclass
class Found:
    """What the drill has gathered so far."""

    unproven: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    injection: Injection | None = None
    proof: str = "the fault was not injected"
    recovery: Recovery | None = None
    window: Window | None = None
    audited: Audited | None = None
    golden: Golden | None = None
    runbook: Run | None = None
    canaries: int = 0

    def judged(self, rto_target_seconds: float) -> tuple[Verdict, tuple[str, ...]]:
        """The verdict with its reasons."""
        return judge(
            Findings(
                unproven=self.unproven,
                doubts=self.doubts,
                recovery=self.recovery,
                losses=self.audited.losses if self.audited else None,
                golden=self.golden,
                runbook=self.runbook,
                rto_target_seconds=rto_target_seconds,
            )
        )
