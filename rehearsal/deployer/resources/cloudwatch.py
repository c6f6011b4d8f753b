"""Metric alarms and dashboards."""

from __future__ import annotations

from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.errors import DeployError
from rehearsal.deployer.kind import Kind, Tagging, names
from rehearsal.deployer.state import Properties, Resource


class MetricAlarm(Kind):
    """aws_cloudwatch_metric_alarm, on one metric or on an expression over several."""

    def shaped(self, properties: Properties) -> Properties:
        if "metricQueries" not in properties:
            return properties
        return properties | {"metricQueries": [_query(query) for query in properties["metricQueries"]]}

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        # DeleteAlarms may refuse a name that does not exist.
        if self.describe(cloud, resource.id, resource.inputs) is not None:
            super().delete(cloud, resource)


class Dashboard(Kind):
    """aws_cloudwatch_dashboard, which never has an automatic name."""

    def put(self, cloud: Cloud, inputs: Properties, **more: Any) -> Any:
        answer = super().put(cloud, inputs, **more)
        complaints = answer.get("DashboardValidationMessages")
        if complaints:
            raise DeployError(f"the dashboard {inputs['dashboardName']} has a mistake: {complaints[0].get('Message')}")
        return answer


def _query(query: Properties) -> Properties:
    """Return a query as the API nests it: the metric's name and dimensions are one level deeper than in Pulumi."""
    if "metric" not in query:
        return query
    named = ("namespace", "metricName", "dimensions")
    flat = query["metric"]
    metric = {key: value for key, value in flat.items() if key in named}
    return query | {"metric": {"metric": metric} | {k: v for k, v in flat.items() if k not in named}}


KINDS = (
    MetricAlarm(
        token="aws:cloudwatch/metricAlarm:MetricAlarm",
        service="cloudwatch",
        name_property="name",
        identifier="AlarmName",
        create_with="PutMetricAlarm",
        id="{name}",
        read_with="DescribeAlarms",
        described="MetricAlarms",
        update_with="PutMetricAlarm",
        delete_with="DeleteAlarms",
        tagging=Tagging(resource="ResourceARN", value="{arn}"),
        replaced_by=names("name"),
        updated_by=names(
            "actionsEnabled alarmActions alarmDescription comparisonOperator datapointsToAlarm dimensions "
            "evaluateLowSampleCountPercentiles evaluationPeriods extendedStatistic insufficientDataActions metricName "
            "metricQueries namespace okActions period statistic threshold thresholdMetricId treatMissingData unit"
        ),
        sets=names("alarmActions okActions insufficientDataActions"),
        defaults={"actionsEnabled": True, "treatMissingData": "missing"},
        renames={
            "name": "AlarmName",
            "metricQueries": "Metrics",
            "metricQueries.metric": "MetricStat",
            "okActions": "OKActions",
            "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
        },
        outputs={"arn": "AlarmArn", "name": "{id}"},
    ),
    Dashboard(
        token="aws:cloudwatch/dashboard:Dashboard",
        service="cloudwatch",
        tagged=False,
        identifier="DashboardName",
        create_with="PutDashboard",
        id="{dashboardName}",
        read_with="GetDashboard",
        update_with="PutDashboard",
        delete_with="DeleteDashboards",
        replaced_by=names("dashboardName"),
        updated_by=names("dashboardBody"),
        json_texts=names("dashboardBody"),
        outputs={"dashboardArn": "DashboardArn"},
    ),
)
