"""Alarms of one slot and the topic they speak to. Thresholds come from the one table in infra.slo."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra import naming, policies, slo
from infra.config import Settings

EVALUATED_PERIODS = 3
BREACHING_PERIODS = 2  # of those evaluated: one slow period is noise, two are a finding
RUNBOOKS = {
    "retrieval_p95": "runbooks/RB-02-a-shard-is-lost.md",
    "error_rate": "runbooks/RB-02-a-shard-is-lost.md",
    "stale_replicas": "runbooks/RB-04-a-replica-stands-still.md",
}
# No requests means no data, and a silent night is neither slow nor failing. Missing processes are the matter of
# another alarm, one for which missing data breaches.
SILENCE = "notBreaching"


class Alarms(pulumi.ComponentResource):
    """Retrieval P95, error rate and stale replicas; `names` by alarm key."""

    def __init__(self, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("vectorfleet:infra:Alarms", settings.fleet, None, opts)
        self._settings = settings
        self._child = pulumi.ResourceOptions(parent=self)
        self.topic = aws.sns.Topic(
            naming.logical("topic", settings.fleet, "alerts"),
            tags={"vectorfleet:fleet": settings.fleet},
            opts=self._child,
        )
        self.topic_policy = aws.sns.TopicPolicy(
            f"{settings.fleet}-alerts",
            arn=self.topic.arn,
            policy=self.topic.arn.apply(lambda arn: json.dumps(policies.alarms_may_publish(arn))),
            opts=self._child,
        )
        self.alarms = {
            "retrieval_p95": self._retrieval_p95(),
            "error_rate": self._error_rate(),
            "stale_replicas": self._stale_replicas(),
        }
        self.names = {key: alarm.name for key, alarm in self.alarms.items()}
        self.register_outputs({"topic": self.topic.arn})

    @property
    def _dimensions(self) -> dict[str, str]:
        return dict(zip(slo.DIMENSIONS, (self._settings.fleet, self._settings.slot), strict=True))

    def _description(self, key: str, objective: slo.Objective) -> str:
        return (
            f"{objective.title} is above {objective.alert:g} {objective.unit} "
            f"(target: below {objective.target:g}). Runbook: {RUNBOOKS[key]}"
        )

    def _retrieval_p95(self) -> aws.cloudwatch.MetricAlarm:
        objective = slo.objective("retrieval_p95_ms")
        name = naming.alarm(self._settings.fleet, self._settings.slot, "retrieval-p95")
        return aws.cloudwatch.MetricAlarm(
            name,
            name=name,
            alarm_description=self._description("retrieval_p95", objective),
            namespace=slo.NAMESPACE,
            metric_name="RetrievalLatency",
            dimensions=self._dimensions,
            extended_statistic="p95",
            period=self._settings.alarm_period_seconds,
            unit="Milliseconds",
            evaluation_periods=EVALUATED_PERIODS,
            datapoints_to_alarm=BREACHING_PERIODS,
            comparison_operator="GreaterThanThreshold",
            threshold=objective.alert,
            # A percentile of a handful of samples is one slow request.
            evaluate_low_sample_count_percentiles="ignore",
            treat_missing_data=SILENCE,
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            opts=self._child,
        )

    def _error_rate(self) -> aws.cloudwatch.MetricAlarm:
        objective = slo.objective("error_rate_percent")
        name = naming.alarm(self._settings.fleet, self._settings.slot, "error-rate")
        return aws.cloudwatch.MetricAlarm(
            name,
            name=name,
            alarm_description=self._description("error_rate", objective),
            metric_queries=[
                {
                    "id": "rate",
                    "expression": "100 * errors / requests",
                    "label": "error rate, %",
                    "return_data": True,
                },
                self._count("errors", "Errors"),
                self._count("requests", "Requests"),
            ],
            evaluation_periods=EVALUATED_PERIODS,
            datapoints_to_alarm=BREACHING_PERIODS,
            comparison_operator="GreaterThanThreshold",
            threshold=objective.alert,
            treat_missing_data=SILENCE,
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            opts=self._child,
        )

    def _stale_replicas(self) -> aws.cloudwatch.MetricAlarm:
        name = naming.alarm(self._settings.fleet, self._settings.slot, "stale-replicas")
        return aws.cloudwatch.MetricAlarm(
            name,
            name=name,
            alarm_description=(
                "A replica stands still before a log entry that is damaged or ends processes. "
                f"Runbook: {RUNBOOKS['stale_replicas']}"
            ),
            namespace=slo.NAMESPACE,
            metric_name="StaleReplicas",
            dimensions=self._dimensions,
            # Every router counts the same replicas.
            statistic="Maximum",
            period=self._settings.alarm_period_seconds,
            unit="Count",
            evaluation_periods=EVALUATED_PERIODS,
            datapoints_to_alarm=BREACHING_PERIODS,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            treat_missing_data=SILENCE,
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            opts=self._child,
        )

    def _count(self, identifier: str, metric: str) -> aws.cloudwatch.MetricAlarmMetricQueryArgsDict:
        return {
            "id": identifier,
            "return_data": False,
            "metric": {
                "namespace": slo.NAMESPACE,
                "metric_name": metric,
                "dimensions": self._dimensions,
                "period": self._settings.alarm_period_seconds,
                "stat": "Sum",
                "unit": "Count",
            },
        }
