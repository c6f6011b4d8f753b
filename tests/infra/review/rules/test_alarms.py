"""The rules of infra.review.rules.alarms, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, fine, made, wrong

BOTH = {"alarmActions": ["topic"], "okActions": ["topic"]}


def alarm(**inputs: Any) -> Resource:
    return made(tokens.ALARM, inputs)


def described(text: str) -> Resource:
    return alarm(alarmDescription=text)


def queried(**inputs: Any) -> Resource:
    return alarm(metricQueries=[{"id": "a", "metric": {"stat": "p95"}}], **inputs)


CASES = (
    fine("alarm-actions", "both", alarm(**BOTH)),
    wrong("alarm-actions", "only the start", alarm(alarmActions=["topic"]), says="okActions not set"),
    wrong("alarm-actions", "only the end", alarm(okActions=["topic"]), says="alarmActions not set"),
    wrong("alarm-actions", "switched off", alarm(**BOTH, actionsEnabled=False), says="actionsEnabled not set"),
    fine("alarm-runbook", "exists", described("It is lost. Runbook: runbooks/RB-02-a-shard-is-lost.md")),
    wrong("alarm-runbook", "none", described("It is lost."), says="does not end in a runbook's path"),
    wrong("alarm-runbook", "not at the end", described("runbooks/RB-02-a-shard-is-lost.md says more."), says="end"),
    wrong("alarm-runbook", "a dead one", described("runbooks/RB-99.md"), says="there is no runbooks/RB-99.md"),
    fine("alarm-missing-data", "chosen", alarm(treatMissingData="breaching")),
    wrong("alarm-missing-data", "the default", alarm(), says="left to the default"),
    fine("alarm-low-samples", "chosen", alarm(extendedStatistic="p95", evaluateLowSampleCountPercentiles="ignore")),
    fine("alarm-low-samples", "no percentile", alarm(statistic="Maximum")),
    fine("alarm-low-samples", "chosen for a query", queried(evaluateLowSampleCountPercentiles="ignore")),
    wrong("alarm-low-samples", "not chosen", alarm(extendedStatistic="p99.9"), says="is nothing for p99.9"),
    wrong("alarm-low-samples", "not chosen for a query", queried(), says="is nothing for p95"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alarm_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
