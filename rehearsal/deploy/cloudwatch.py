"""Metric alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, tag_changes, tag_list
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters


class MetricAlarm(Kind):
    """aws_cloudwatch_metric_alarm, on one metric or on an expression over several."""

    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    service = "cloudwatch"
    name_property = "name"
    replaced_by = frozenset({"name"})
    updated_by = frozenset(
        {
            "actionsEnabled",
            "alarmActions",
            "alarmDescription",
            "comparisonOperator",
            "datapointsToAlarm",
            "dimensions",
            "evaluateLowSampleCountPercentiles",
            "evaluationPeriods",
            "extendedStatistic",
            "insufficientDataActions",
            "metricName",
            "metricQueries",
            "namespace",
            "okActions",
            "period",
            "statistic",
            "threshold",
            "thresholdMetricId",
            "treatMissingData",
            "unit",
        }
    )
    sets = frozenset({"alarmActions", "okActions", "insufficientDataActions"})
    defaults: ClassVar[Mapping[str, Any]] = {"actionsEnabled": True, "treatMissingData": "missing"}
    renames: ClassVar[Mapping[str, str]] = {
        "name": "AlarmName",
        "metricQueries": "Metrics",
        "metricQueries.metric": "MetricStat",
        "okActions": "OKActions",
        "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
    }

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("cloudwatch")
        asked = {key: value for key, value in inputs.items() if key in self.replaced_by | self.updated_by}
        if "metricQueries" in asked:
            asked["metricQueries"] = [_query(query) for query in asked["metricQueries"]]
        client.put_metric_alarm(
            **parameters(client, "PutMetricAlarm", asked, self.renames), Tags=tag_list(inputs["tagsAll"])
        )
        return str(inputs["name"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["name"]] if self.read(cloud, inputs["name"], inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        alarms = cloud.client("cloudwatch").describe_alarms(AlarmNames=[id_])["MetricAlarms"]
        return {"arn": alarms[0]["AlarmArn"], "name": id_} if alarms else None

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("cloudwatch")
        if changed & self.updated_by:
            self.create(cloud, inputs)
        arn = cloud.arn("cloudwatch", f"alarm:{old.id}")
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            client.untag_resource(ResourceARN=arn, TagKeys=gone)
        if new:
            client.tag_resource(ResourceARN=arn, Tags=tag_list(new))

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        # The API takes unknown names in its stride only when all are known; ours may be gone.
        if self.read(cloud, resource.id, resource.inputs) is not None:
            cloud.client("cloudwatch").delete_alarms(AlarmNames=[resource.id])


def _query(query: Properties) -> Properties:
    """Pulumi flattens what the API nests: the metric's own name and dimensions lie one level deeper there."""
    if "metric" not in query:
        return query
    named = ("namespace", "metricName", "dimensions")
    flat = query["metric"]
    metric = {key: value for key, value in flat.items() if key in named}
    return query | {"metric": {"metric": metric} | {k: v for k, v in flat.items() if k not in named}}


KINDS = (MetricAlarm(),)
