"""Rules for alarms: both notifications, a runbook, and the meaning of missing data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra import PROJECT_ROOT
from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource, at
from infra.review.rules.rule import Check, Rule, said, shown

ACTIONS = ("alarmActions", "okActions")
RUNBOOK = re.compile(r"(?:^| )(runbooks/[\w.-]+\.md)$")
PERCENTILE = re.compile(r"p\d")


def _actions(alarm: Resource, _: Graph) -> Iterator[str]:
    missing = [name for name in ACTIONS if not alarm.each(name)]
    if alarm.at("actionsEnabled") is False:
        missing.append("actionsEnabled")
    if missing:
        yield said(
            f"{' and '.join(missing)} not set",
            allowed="both actions, enabled",
            remedy="Name the topic in both: without the second nobody hears that it is over",
        )


def _runbook(alarm: Resource, _: Graph) -> Iterator[str]:
    found = RUNBOOK.search(str(alarm.at("alarmDescription") or ""))
    if not found:
        yield said(
            "the description does not end in a runbook's path",
            allowed="runbooks/….md at its end",
            remedy="Say which page to open",
        )
    elif not (PROJECT_ROOT / found[1]).is_file():
        yield said(f"there is no {found[1]}", allowed="a page that exists", remedy="Write it, or name another")


def _missing_data(alarm: Resource, _: Graph) -> Iterator[str]:
    if not alarm.at("treatMissingData"):
        yield said(
            "what silence means is left to the default",
            allowed="treatMissingData breaching, notBreaching, ignore or missing",
            remedy="Choose one on purpose",
        )


def _low_samples(alarm: Resource, _: Graph) -> Iterator[str]:
    statistics = (alarm.at("extendedStatistic"), *(at(one, "metric", "stat") for one in alarm.each("metricQueries")))
    percentiles = [one for one in statistics if PERCENTILE.match(str(one or ""))]
    found = alarm.at("evaluateLowSampleCountPercentiles")
    if percentiles and not found:
        yield said(
            f"evaluateLowSampleCountPercentiles is {shown(found)} for {', '.join(percentiles)}",
            allowed="ignore or evaluate",
            remedy="Set ignore: a percentile of a handful of samples is one slow request",
        )


def _alarm(id_: str, demand: str, check: Check, *sources: str) -> Rule:
    return Rule(id=id_, demand=demand, types=(tokens.ALARM,), check=check, sources=sources)


RULES = (
    _alarm(
        "alarm-actions",
        "an alarm notifies when it starts and when it ends",
        _actions,
        "CloudWatchAlarmAction",
        "CKV_AWS_319",
    ),
    _alarm("alarm-runbook", "an alarm's description ends in the path of a runbook that exists", _runbook),
    _alarm("alarm-missing-data", "an alarm chooses the meaning of missing data", _missing_data),
    _alarm("alarm-low-samples", "an alarm on a percentile chooses the meaning of few samples", _low_samples),
)
