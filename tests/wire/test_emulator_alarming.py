"""Alarms of the emulator: evaluation, history, notifications."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.rehearsal.programs.project import client
from tests.wire.fleet import eventually, unique

Connect = Callable[[str], Any]
DIMENSIONS = [{"Name": "Fleet", "Value": "f"}, {"Name": "Slot", "Value": "blue"}]


def settings(**more: Any) -> dict[str, Any]:
    name = unique("metric")
    return {
        "AlarmName": unique("alarm"),
        "Namespace": "vectorfleet",
        "MetricName": name,
        "Dimensions": DIMENSIONS,
        "ExtendedStatistic": "p95",
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 500.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "missing",
        **more,
    }


def put(cloudwatch: Any, name: str, values: list[float], counts: list[float], ago: float = 10.0) -> None:
    datum = {
        "MetricName": name,
        "Dimensions": DIMENSIONS,
        "Timestamp": datetime.fromtimestamp(time.time() - ago, UTC),
        "Values": values,
        "Counts": counts,
        "Unit": "Milliseconds",
        "StorageResolution": 1,
    }
    cloudwatch.put_metric_data(Namespace="vectorfleet", MetricData=[datum])


def state(cloudwatch: Any, alarm: str) -> str:
    return str(cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"])


@pytest.fixture
def inbox(connect: Connect) -> tuple[str, Callable[[], list[dict[str, Any]]]]:
    """Return a topic, and a function that returns the messages in its queue."""
    return inbox_of(connect)


def inbox_of(connect: Connect) -> tuple[str, Callable[[], list[dict[str, Any]]]]:
    """Return a function that makes such a topic in any region."""
    sns, sqs = connect("sns"), connect("sqs")
    topic = sns.create_topic(Name=unique("alerts"))["TopicArn"]
    queue = sqs.create_queue(QueueName=unique("inbox"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    seen: list[dict[str, Any]] = []

    def read() -> list[dict[str, Any]]:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            seen.append(json.loads(json.loads(message["Body"])["Message"]))
        return seen

    return topic, read


def test_a_percentile_alarm_fires_and_recovers(
    connect: Connect, inbox: tuple[str, Callable[[], list[dict[str, Any]]]]
) -> None:
    cloudwatch, (topic, messages) = connect("cloudwatch"), inbox
    wanted = settings(AlarmActions=[topic], OKActions=[topic])
    name = wanted["AlarmName"]
    cloudwatch.put_metric_alarm(**wanted)
    assert state(cloudwatch, name) == "INSUFFICIENT_DATA"
    put(cloudwatch, wanted["MetricName"], [10.0, 900.0], [94.0, 6.0])
    eventually(lambda: state(cloudwatch, name) == "ALARM")
    (first,) = eventually(messages)
    assert (first["NewStateValue"], first["OldStateValue"]) == ("ALARM", "INSUFFICIENT_DATA")
    assert first["Trigger"]["ExtendedStatistic"] == "p95"
    put(cloudwatch, wanted["MetricName"], [10.0], [5000.0], ago=0)
    eventually(lambda: state(cloudwatch, name) == "OK")
    eventually(lambda: [m["NewStateValue"] for m in messages()] == ["ALARM", "OK"])
    history = cloudwatch.describe_alarm_history(AlarmName=name, ScanBy="TimestampAscending")
    kinds = [item["HistoryItemType"] for item in history["AlarmHistoryItems"]]
    assert kinds == ["ConfigurationUpdate", "StateUpdate", "Action", "StateUpdate", "Action"]


def test_an_alarm_has_metrics_and_topics_of_its_region(emulator: str, connect: Connect) -> None:
    west = client(emulator, "us-west-2")
    here, there, (topic, messages) = connect("cloudwatch"), west("cloudwatch"), inbox_of(west)
    wanted = settings(AlarmActions=[topic])
    there.put_metric_alarm(**wanted)
    put(here, wanted["MetricName"], [900.0], [10.0], ago=5)
    put(there, wanted["MetricName"], [10.0], [10.0])
    eventually(lambda: state(there, wanted["AlarmName"]) == "OK")
    put(there, wanted["MetricName"], [900.0], [5000.0], ago=0)
    eventually(lambda: state(there, wanted["AlarmName"]) == "ALARM")
    (message,) = eventually(messages)
    assert (message["Region"], message["AlarmArn"].split(":")[3]) == ("US West (Oregon)", "us-west-2")
    with pytest.raises(ClientError, match="Invalid region us-west-2 specified"):
        here.put_metric_alarm(**wanted)


def test_disabled_actions_stay_silent(connect: Connect, inbox: tuple[str, Callable[[], list[dict[str, Any]]]]) -> None:
    cloudwatch, (topic, messages) = connect("cloudwatch"), inbox
    wanted = settings(AlarmActions=[topic], ActionsEnabled=False)
    cloudwatch.put_metric_alarm(**wanted)
    put(cloudwatch, wanted["MetricName"], [900.0], [10.0])
    eventually(lambda: state(cloudwatch, wanted["AlarmName"]) == "ALARM")
    assert messages() == []


def test_metric_math_decides_an_alarm(connect: Connect) -> None:
    cloudwatch = connect("cloudwatch")
    errors, requests, alarm = unique("errors"), unique("requests"), unique("alarm")

    def query(key: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": "vectorfleet", "MetricName": name, "Dimensions": DIMENSIONS}
        return {"Id": key, "MetricStat": {"Metric": metric, "Period": 10, "Stat": "Sum"}, "ReturnData": False}

    cloudwatch.put_metric_alarm(
        AlarmName=alarm,
        EvaluationPeriods=1,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        Metrics=[
            {"Id": "rate", "Expression": "IF(requests > 0, 100 * FILL(errors, 0) / requests, 0)"},
            query("errors", errors),
            query("requests", requests),
        ],
    )
    eventually(lambda: state(cloudwatch, alarm) == "OK")
    put(cloudwatch, requests, [1.0], [100.0])
    put(cloudwatch, errors, [1.0], [6.0])
    eventually(lambda: state(cloudwatch, alarm) == "ALARM")


def test_a_changed_alarm_keeps_its_state(connect: Connect) -> None:
    cloudwatch = connect("cloudwatch")
    wanted = settings(TreatMissingData="ignore")
    cloudwatch.put_metric_alarm(**wanted)
    put(cloudwatch, wanted["MetricName"], [900.0], [10.0])
    eventually(lambda: state(cloudwatch, wanted["AlarmName"]) == "ALARM")
    cloudwatch.put_metric_alarm(**{**wanted, "AlarmDescription": "changed"})
    assert state(cloudwatch, wanted["AlarmName"]) == "ALARM"


def test_a_state_that_was_set_by_hand_returns_to_the_true_one(
    connect: Connect, inbox: tuple[str, Callable[[], list[dict[str, Any]]]]
) -> None:
    cloudwatch, (topic, messages) = connect("cloudwatch"), inbox
    wanted = settings(AlarmActions=[topic])
    cloudwatch.put_metric_alarm(**wanted)
    cloudwatch.set_alarm_state(AlarmName=wanted["AlarmName"], StateValue="ALARM", StateReason="a test")
    eventually(lambda: [m["NewStateReason"] for m in messages()] == ["a test"])
    eventually(lambda: state(cloudwatch, wanted["AlarmName"]) == "INSUFFICIENT_DATA")


def test_metric_data_answers_percentiles_and_math(connect: Connect) -> None:
    cloudwatch, name = connect("cloudwatch"), unique("metric")
    put(cloudwatch, name, [10.0, 900.0], [94.0, 6.0], ago=0)
    metric = {"Namespace": "vectorfleet", "MetricName": name, "Dimensions": DIMENSIONS}
    span = {
        "StartTime": datetime.fromtimestamp(time.time() - 60, UTC),
        "EndTime": datetime.fromtimestamp(time.time() + 60, UTC),
    }
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[
            {"Id": "slow", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "p95"}},
            {"Id": "seconds", "Expression": "slow / 1000"},
        ],
        **span,
    )
    assert [result["Values"] for result in answer["MetricDataResults"]] == [[900.0], [0.9]]
    statistics = cloudwatch.get_metric_statistics(**metric, **span, Period=60, ExtendedStatistics=["p50"])
    assert statistics["Datapoints"][0]["ExtendedStatistics"] == {"p50": 10.0}
    listed = cloudwatch.list_metrics(Namespace="vectorfleet", MetricName=name)["Metrics"]
    assert listed == [metric]
