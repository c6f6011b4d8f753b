from __future__ import annotations

from vectorfleet.verdicts import Verdict


def test_each_verdict_has_its_own_exit_code() -> None:
    codes = {"PASS": 0, "FAIL": 1, "UNDECIDED": 2, "VOID": 3, "ABORTED": 4, "NOT-RUN": 5}
    assert {one.value: int(one.exit_code) for one in Verdict} == codes
