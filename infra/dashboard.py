"""One page in CloudWatch with every metric that an alarm watches and the line at which it rings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from infra import naming
from infra.alarm_table import Watched
from infra.alarms import Watch
from infra.settings import Settings

COLUMNS = 2
WIDTH, HEIGHT = 12, 6  # of CloudWatch's grid, 24 wide


def body(watches: Sequence[Watch], region: str, period_seconds: int) -> str:
    """
    The dashboard's source: one graph per alarm or family of alarms, in their order.

    The watches' values are known; `region` is the dashboard's own, `period_seconds` that of alarms without another.
    """
    graphs: dict[str, list[Watch]] = {}
    for watch in watches:
        graphs.setdefault(watch.alarm.family or watch.alarm.says, []).append(watch)
    widgets = [_widget(n, title, shown, region, period_seconds) for n, (title, shown) in enumerate(graphs.items())]
    return json.dumps({"widgets": widgets})


def _widget(number: int, title: str, watches: Sequence[Watch], region: str, period_seconds: int) -> dict[str, object]:
    row, column = divmod(number, COLUMNS)
    alarm = watches[0].alarm
    return {
        "type": "metric",
        "x": column * WIDTH,
        "y": row * HEIGHT,
        "width": WIDTH,
        "height": HEIGHT,
        "properties": {
            "title": title[:1].upper() + title[1:],
            "region": region,
            "view": "timeSeries",
            "period": alarm.period_seconds or period_seconds,
            "metrics": [metric for watch in watches for metric in _metrics(watch)],
            "annotations": {"horizontal": [{"label": "alarm", "value": alarm.threshold}]},
        },
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
    settings: Settings, watches: Sequence[Watch], region: str, opts: pulumi.ResourceOptions
) -> aws.cloudwatch.Dashboard:
    """The slot's dashboard."""
    name = naming.fit(f"{settings.fleet}-{settings.slot}", naming.LIMITS["dashboard"])
    values: pulumi.Output[Sequence[Mapping[str, str]]] = pulumi.Output.all(*(dict(watch.values) for watch in watches))
    return aws.cloudwatch.Dashboard(
        name,
        dashboard_name=name,
        dashboard_body=values.apply(
            lambda known: body(
                [Watch(watch.alarm, found, watch.region) for watch, found in zip(watches, known, strict=True)],
                region,
                settings.alarm_period_seconds,
            )
        ),
        opts=opts,
    )
