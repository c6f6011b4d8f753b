"""The fleet's alarms as CloudWatch has them, each with the page that its description names, and their verb."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import click

from infra.facts import naming
from infra.stack.outputs import Stack, read_stack
from runbooks.guard import says_errors
from vectorfleet.options import json_option, outputs_option, stack_slot_option
from vectorfleet.output import console, print_json, table

TOO_NEW = "TOO NEW"  # CloudWatch reports ALARM, because periods from before the alarm count as breaching
_BREACHES = {"GreaterThanThreshold": operator.gt, "LessThanThreshold": operator.lt}
_PAGE = re.compile(r"Runbook: runbooks/(RB-\d\d)-")


@dataclass(frozen=True)
class AlarmView:
    """One alarm. `page` is the runbook in its description, `state` is CloudWatch's or TOO_NEW."""

    name: str
    page: str
    state: str
    since: str
    reason: str

    @property
    def rings(self) -> bool:
        return self.state == "ALARM"


def see_alarms(stack: Stack, page: str = "") -> list[AlarmView]:
    """Return the alarms of a slot and of the fleet that lead to a page, or all; those that ring come first."""
    found = [view for region in _regions(stack) for view in _alarms(stack, region) if page in ("", view.page)]
    return sorted(found, key=lambda view: (not view.rings, view.name))


def ringing(alarms: list[AlarmView]) -> list[str]:
    """Return the names of the alarms that ring."""
    return [view.name for view in alarms if view.rings]


def _regions(stack: Stack) -> list[str]:
    """Return the fleet's region and the vault's, the only one that sees late copies."""
    if not stack.vault_bucket:
        return [stack.region]
    # S3 returns no name for its first region.
    vault = stack.aws("s3").get_bucket_location(Bucket=stack.vault_bucket)["LocationConstraint"] or "us-east-1"
    return [stack.region, vault]


def _alarms(stack: Stack, region: str) -> Iterator[AlarmView]:
    pages, now = stack.aws("cloudwatch", region=region).get_paginator("describe_alarms"), datetime.now(UTC)
    prefixes = [naming.alarm(stack.fleet, scope, "") for scope in (stack.slot, naming.FLEET_SCOPE)]
    for page in chain.from_iterable(pages.paginate(AlarmNamePrefix=prefix) for prefix in prefixes):
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
    """Return whether an alarm rings only because it is too new to have data; breaching points count at any age."""
    if alarm["StateValue"] != "ALARM" or "AlarmConfigurationUpdatedTimestamp" not in alarm:
        return False
    metrics = [query["MetricStat"] for query in alarm.get("Metrics", ()) if "MetricStat" in query]
    period_seconds = max(metric["Period"] for metric in metrics or [alarm])
    age = now - alarm["AlarmConfigurationUpdatedTimestamp"]
    # The first period began before the alarm.
    if age.total_seconds() > period_seconds * (alarm["EvaluationPeriods"] + 1):
        return False
    points = json.loads(alarm.get("StateReasonData") or "{}").get("recentDatapoints", [])
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    breaching = sum(breaches(point, alarm["Threshold"]) for point in points if point is not None)
    return bool(breaching < alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]))


@click.command()
@outputs_option
@stack_slot_option
@click.option("--page", default="", help="Only alarms that lead to this page, as RB-06.")
@click.option("--field", type=click.Choice(("ringing",)), help="Print this one value and nothing else.")
@json_option
@says_errors
def alarms(outputs: Path, slot: str, page: str, field: str | None, as_json: bool) -> None:
    """List the alarms with their pages, those that ring first."""
    views = see_alarms(read_stack(outputs, slot=slot), page)
    if field:
        click.echo(" ".join(ringing(views)) or "none")
        return
    if as_json:
        print_json([asdict(view) for view in views])
        return
    shown = table("alarm", "page", "state", "since", "reason")
    for view in views:
        state = f"[red]{view.state}[/]" if view.rings else view.state
        shown.add_row(view.name, view.page, state, view.since, view.reason)
    console().print(shown)
