"""The verdict of a drill: each finding that forbids a PASS does so alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbooks.drills.audit import AuditReport
from runbooks.drills.golden_comparison import GoldenComparison
from runbooks.drills.judge import Findings, judge
from runbooks.drills.losses import Losses
from runbooks.drills.measure import Phases, Recovery
from runbooks.runner.run import Run
from vectorfleet.verdicts import Verdict

RECOVERY = Recovery(
    injected=0.0,
    t0=1.0,
    t1=2.0,
    t3=5.0,
    t4=5.0,
    t5=6.0,
    rto_seconds=5.0,
    from_injection_seconds=6.0,
    uncertainty_seconds=0.25,
    phases=Phases(1.0, 3.0, 0.0, 1.0),
    alarm_after_seconds=None,
)
LOSSES = Losses(
    kept=10,
    lost=0,
    stale=0,
    resurrected=0,
    phantom=0,
    unknown=2,
    refused=1,
    rpo_seconds=None,
    write_interval_seconds=0.25,
)
RUN = Run("RB-02", Verdict.PASS, "RB-02 ran to its end", (), (), ())
ALL_WELL = Findings(
    recovery=RECOVERY,
    audited=AuditReport(LOSSES, (), 3, True),
    golden=GoldenComparison(True, "Golden relevance 0.8 equals the baseline's."),
    runbook=RUN,
)


def lossy(**counts: int) -> AuditReport:
    return AuditReport(replace(LOSSES, **counts), (), 3, True)


def test_a_pass_states_its_measurements() -> None:
    verdict, reasons = judge(ALL_WELL, 60.0)
    assert verdict is Verdict.PASS
    assert "5.00 s ± 0.25 s" in reasons[0]
    assert "RPO ≤ 0.25 s" in reasons[1]


FAILURES = [
    (replace(ALL_WELL, recovery=replace(RECOVERY, rto_seconds=60.1)), "longer than the target"),
    (replace(ALL_WELL, recovery=replace(RECOVERY, t5=None, rto_seconds=None)), "did not recover"),
    (replace(ALL_WELL, audited=lossy(lost=1)), "1 acknowledged writes are lost"),
    (replace(ALL_WELL, audited=lossy(stale=1)), "older version"),
    (replace(ALL_WELL, audited=lossy(resurrected=1)), "came back"),
    (replace(ALL_WELL, audited=lossy(phantom=1)), "never acknowledged"),
    (replace(ALL_WELL, golden=GoldenComparison(False, "It differs.")), "It differs."),
    (replace(ALL_WELL, runbook=replace(RUN, verdict=Verdict.FAIL, sentence="x")), "ended FAIL: x"),
]
GAPS = [
    (replace(ALL_WELL, doubts=["a hole"]), "a hole"),
    (replace(ALL_WELL, recovery=None), "not measured"),
    (replace(ALL_WELL, audited=None), "not audited"),
    (replace(ALL_WELL, golden=None), "not asked"),
    (replace(ALL_WELL, golden=GoldenComparison(None, "It broke.")), "It broke."),
    (replace(ALL_WELL, runbook=None), "not run"),
]


@pytest.mark.parametrize(("findings", "word"), FAILURES)
def test_each_failure_alone_fails_the_drill(findings: Findings, word: str) -> None:
    verdict, reasons = judge(findings, 60.0)
    assert verdict is Verdict.FAIL
    assert any(word in reason for reason in reasons)


@pytest.mark.parametrize(("findings", "word"), GAPS)
def test_a_missing_measurement_is_void(findings: Findings, word: str) -> None:
    verdict, reasons = judge(findings, 60.0)
    assert verdict is Verdict.VOID
    assert any(word in reason for reason in reasons)


@pytest.mark.parametrize(("findings", "word"), FAILURES)
def test_a_failure_stands_beside_a_doubt(findings: Findings, word: str) -> None:
    assert judge(replace(findings, doubts=["a hole"]), 60.0)[0] is Verdict.FAIL


@pytest.mark.parametrize(("findings", "word"), FAILURES)
def test_an_unproven_fault_measures_nothing(findings: Findings, word: str) -> None:
    assert judge(replace(findings, unproven=["nothing happened"]), 60.0) == (Verdict.VOID, ("nothing happened",))


def test_unknown_and_refused_writes_are_no_failure() -> None:
    assert judge(replace(ALL_WELL, audited=lossy(unknown=50, refused=50)), 60.0)[0] is Verdict.PASS


def test_exit_codes_are_those_of_the_project() -> None:
    assert [verdict.exit_code for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.VOID)] == [0, 1, 3]
    assert len({verdict.exit_code for verdict in Verdict}) == len(Verdict)
