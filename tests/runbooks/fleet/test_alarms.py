"""Alarms with their pages, against a CloudWatch in this process."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.facts.alarm_table import RUNBOOKS
from infra.stack.outputs import Stack
from runbooks.fleet.alarms import ringing, rings_for_its_age, see_alarms
from tests.runbooks.aws_groups import make_alarm
from tests.stack_outputs import a_stack

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def stack(mocked_aws: None) -> Stack:
    return a_stack(fleet="f", region="eu-west-1", vault_bucket="vault")


def make(cloudwatch: Any, name: str, page: str, state: str = "OK") -> None:
    make_alarm(cloudwatch, name, f"It is bad. Runbook: {RUNBOOKS[page]}")
    reason = json.dumps({"recentDatapoints": [2.0]})
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="so", StateReasonData=reason)


def test_alarms_are_found_in_both_regions_by_their_page(stack: Stack) -> None:
    stack.aws("s3", region="us-west-2").create_bucket(
        Bucket="vault", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    here, there = stack.aws("cloudwatch"), stack.aws("cloudwatch", region="us-west-2")
    make(here, "f-blue-backup-age", "RB-07")
    make(here, "f-blue-shard-down", "RB-02", "ALARM")
    make(here, "other-blue-shard-down", "RB-02", "ALARM")
    make(there, "f-blue-replication-late-index", "RB-07", "ALARM")
    assert [view.name for view in see_alarms(stack)] == [
        "f-blue-replication-late-index",
        "f-blue-shard-down",
        "f-blue-backup-age",
    ]
    assert ringing(see_alarms(stack, "RB-07")) == ["f-blue-replication-late-index"]
    assert ringing(see_alarms(stack, "RB-04")) == []


@pytest.mark.parametrize(
    ("age_seconds", "points", "too_new"),
    [
        (0, [], True),
        (239, [], True),
        (241, [], False),
        (100, [5.0], True),
        (100, [5.0, 6.0], False),
        (100, [None, 5.0, 0.5], True),
    ],
)
def test_silence_from_before_an_alarm_does_not_ring(age_seconds: int, points: list[float], too_new: bool) -> None:
    alarm = {
        "StateValue": "ALARM",
        "StateReasonData": json.dumps({"recentDatapoints": points}),
        "AlarmConfigurationUpdatedTimestamp": NOW - timedelta(seconds=age_seconds),
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 1.0,
    }
    assert rings_for_its_age(alarm, NOW) is too_new
    assert not rings_for_its_age({**alarm, "StateValue": "OK"}, NOW)
    query = {"Id": "m1", "MetricStat": {"Period": alarm.pop("Period")}}
    assert rings_for_its_age({**alarm, "Metrics": [query, {"Id": "rate", "Expression": "m1"}]}, NOW) is too_new
