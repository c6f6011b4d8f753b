"""One page in CloudWatch with every metric that an alarm watches and the line at which it rings."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra import naming
from infra.alarm_table import OBJECTIVES, OPERATIONS, Alarm, Watched
from infra.config import Settings

COLUMNS = 2
WIDTH, HEIGHT = 12, 6  # of CloudWatch's grid, 24 wide


def body(settings: Settings, region: str, dimensions: Mapping[str, str]) -> str:
    """The dashboard's source: one graph per alarm of the table, in its order."""
    alarms = (*OBJECTIVES, *OPERATIONS)
    return json.dumps({"widgets": [_widget(n, alarm, settings, region, dimensions) for n, alarm in enumerate(alarms)]})


def _widget(
    number: int, alarm: Alarm, settings: Settings, region: str, dimensions: Mapping[str, str]
) -> dict[str, object]:
    row, column = divmod(number, COLUMNS)
    return {
        "type": "metric",
        "x": column * WIDTH,
        "y": row * HEIGHT,
        "width": WIDTH,
        "height": HEIGHT,
        "properties": {
            "title": alarm.says[:1].upper() + alarm.says[1:],
            "region": region,
            "view": "timeSeries",
            "period": alarm.period_seconds or settings.alarm_period_seconds,
            "metrics": _metrics(alarm, dimensions),
            "annotations": {"horizontal": [{"label": "alarm", "value": alarm.threshold}]},
        },
    }


def _metrics(alarm: Alarm, dimensions: Mapping[str, str]) -> list[list[object]]:
    if alarm.expression is None:
        return [_metric(alarm.watched[0], dimensions, {"stat": alarm.watched[0].statistic})]
    hidden = [
        _metric(watched, dimensions, {"stat": watched.statistic, "id": f"m{number}", "visible": False})
        for number, watched in enumerate(alarm.watched, start=1)
    ]
    return [[{"expression": alarm.expression, "label": alarm.key}], *hidden]


def _metric(watched: Watched, dimensions: Mapping[str, str], options: dict[str, object]) -> list[object]:
    named = [word for name in watched.dimensions for word in (name, dimensions[name])]
    return [watched.namespace, watched.metric, *named, options]


def dashboard(
    settings: Settings, region: str, balancer: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> aws.cloudwatch.Dashboard:
    """The slot's dashboard; `balancer` is the load balancer's dimension."""
    name = naming.fit(f"{settings.fleet}-{settings.slot}", naming.LIMITS["dashboard"])
    return aws.cloudwatch.Dashboard(
        name,
        dashboard_name=name,
        dashboard_body=balancer.apply(
            lambda found: body(
                settings, region, {"Fleet": settings.fleet, "Slot": settings.slot, "LoadBalancer": found}
            )
        ),
        opts=opts,
    )
