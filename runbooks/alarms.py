"""The fleet's alarms as CloudWatch has them, each with the page that its description names."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from runbooks.stack import Stack

TOO_NEW = "TOO NEW"  # CloudWatch says ALARM, since it counts periods from before the alarm as breaching
_BREACHES = {"GreaterThanThreshold": operator.gt, "LessThanThreshold": operator.lt}
_PAGE = re.compile(r"Runbook: runbooks/(RB-\d\d)-")


@dataclass(frozen=True)
class AlarmView:
    """
    One alarm. `page` is the runbook that its description names, `state` CloudWatch's or TOO_NEW, `reason` why it has
    it.
    """

    name: str
    page: str
    state: str
    since: str
    reason: str

    @property
    def rings(self) -> bool:
        return self.state == "ALARM"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def see_alarms(stack: Stack, page: str = "") -> list[AlarmView]:
    """The alarms of the fleet's slot that lead to a page, or all, those that ring first."""
    found = [view for region in _regions(stack) for view in _alarms(stack, region) if page in ("", view.page)]
    return sorted(found, key=lambda view: (not view.rings, view.name))


def ringing(alarms: list[AlarmView]) -> list[str]:
    """Names of the alarms that ring."""
    return [view.name for view in alarms if view.rings]


def _regions(stack: Stack) -> list[str]:
    """The fleet's region, and the vault's, where alone it is seen that copies arrive late."""
    if not stack.vault_bucket:
        return [stack.region]
    # S3 says nothing for its first region.
    vault = stack.aws("s3").get_bucket_location(Bucket=stack.vault_bucket)["LocationConstraint"] or "us-east-1"
    return [stack.region, vault]


def _alarms(stack: Stack, region: str) -> Iterator[AlarmView]:
    pages, now = stack.aws("cloudwatch", region=region).get_paginator("describe_alarms"), datetime.now(UTC)
    for page in pages.paginate(AlarmNamePrefix=f"{stack.fleet}-{stack.slot}-"):
        for alarm in page["MetricAlarms"]:
            named = _PAGE.search(alarm.get("AlarmDescription", ""))
            yield AlarmView(
                name=alarm["AlarmName"],
                page=named[1] if named else "",
                state=TOO_NEW if rings_for_its_age(alarm, now) else alarm["StateValue"],
                since=str(alarm.get("StateUpdatedTimestamp", "")),
                reason=str(alarm.get("StateReason", "")),
            )


def rings_for_its_age(alarm: dict[str, Any], now: datetime) -> bool:
    """Say whether an alarm rings for lack of data that it is too new to have; breaching points ring at any age."""
    if alarm["StateValue"] != "ALARM" or "AlarmConfigurationUpdatedTimestamp" not in alarm:
        return False
    metrics = [query["MetricStat"] for query in alarm.get("Metrics", ()) if "MetricStat" in query]
    period_seconds = max(metric["Period"] for metric in metrics or [alarm])
    age = now - alarm["AlarmConfigurationUpdatedTimestamp"]
    # The first period has begun before the alarm.
    if age.total_seconds() > period_seconds * (alarm["EvaluationPeriods"] + 1):
        return False
    points = json.loads(alarm.get("StateReasonData") or "{}").get("recentDatapoints", [])
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    breaching = sum(breaches(point, alarm["Threshold"]) for point in points if point is not None)
    return bool(breaching < alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]))
