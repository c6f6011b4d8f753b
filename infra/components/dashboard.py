"""The CloudWatch dashboard: each alarm's metric with its threshold, and each shard's lag."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from infra.components.alarms import Watch
from infra.configuration.settings import SlotSettings
from infra.facts import naming
from infra.facts.alarm_table import Watched
from infra.facts.slo import NAMESPACE

COLUMNS = 2
WIDTH, HEIGHT = 12, 6  # on CloudWatch's grid, 24 wide
BY_SHARD = {
    "LagSeconds": "Age of the oldest write that a shard does not cover",
    "LagPositions": "Positions that a shard does not cover",
}


def body(watches: Sequence[Watch], shards: Sequence[Mapping[str, str]], region: str, period_seconds: int) -> str:
    """
    Return the dashboard's source: a graph for each alarm or family of alarms, then those by shard.

    `shards` has each shard's dimensions. `region` is the dashboard's own. `period_seconds` is for alarms without one.
    """
    graphs: dict[str, list[Watch]] = {}
    for watch in watches:
        graphs.setdefault(watch.alarm.family or watch.alarm.says, []).append(watch)
    shown = [_graph(title, found, region, period_seconds) for title, found in graphs.items()]
    shown += [_by_shard(metric, shards, region, period_seconds) for metric in BY_SHARD]
    return json.dumps({"widgets": [_placed(number, properties) for number, properties in enumerate(shown)]})


def _placed(number: int, properties: dict[str, object]) -> dict[str, object]:
    row, column = divmod(number, COLUMNS)
    place = {"x": column * WIDTH, "y": row * HEIGHT, "width": WIDTH, "height": HEIGHT}
    return {"type": "metric", **place, "properties": properties | {"view": "timeSeries"}}


def _graph(title: str, watches: Sequence[Watch], region: str, period_seconds: int) -> dict[str, object]:
    alarm = watches[0].alarm
    return {
        "title": title[:1].upper() + title[1:],
        "region": region,
        "period": alarm.period_seconds or period_seconds,
        "metrics": [metric for watch in watches for metric in _metrics(watch)],
        "annotations": {"horizontal": [{"label": "alarm", "value": alarm.threshold}]},
    }


def _by_shard(metric: str, shards: Sequence[Mapping[str, str]], region: str, period_seconds: int) -> dict[str, object]:
    lines = [[NAMESPACE, metric, *(word for pair in one.items() for word in pair)] for one in shards]
    return {
        "title": BY_SHARD[metric],
        "region": region,
        "period": period_seconds,
        "metrics": [[*line, {"stat": "Maximum", "region": region}] for line in lines],
    }


def _metrics(watch: Watch) -> list[list[object]]:
    alarm = watch.alarm
    if alarm.expression is None:
        return [_metric(alarm.watched[0], watch, {"stat": alarm.watched[0].statistic, "region": watch.region})]
    hidden = [
        _metric(watched, watch, {"stat": watched.statistic, "id": f"m{number}", "visible": False})
        for number, watched in enumerate(alarm.watched, start=1)
    ]
    return [[{"expression": alarm.expression, "label": alarm.key}], *hidden]


def _metric(watched: Watched, watch: Watch, options: dict[str, object]) -> list[object]:
    named = [word for name in watched.dimensions for word in (name, watch.values[name])]
    return [watched.namespace, watched.metric, *named, options]


def dashboard(
    settings: SlotSettings, watches: Sequence[Watch], shards: int, region: str, opts: pulumi.ResourceOptions
) -> aws.cloudwatch.Dashboard:
    """Register the slot's dashboard."""
    each = [{"Fleet": settings.fleet, "Slot": settings.slot, "Shard": str(shard)} for shard in range(shards)]
    name = naming.fit(f"{settings.fleet}-{settings.slot}", naming.LIMITS["dashboard"])
    values: pulumi.Output[Sequence[Mapping[str, str]]] = pulumi.Output.all(*(dict(watch.values) for watch in watches))
    return aws.cloudwatch.Dashboard(
        name,
        dashboard_name=name,
        dashboard_body=values.apply(
            lambda known: body(
                [Watch(watch.alarm, found, watch.region) for watch, found in zip(watches, known, strict=True)],
                each,
                region,
                settings.alarm_period_seconds,
            )
        ),
        opts=opts,
    )
