"""Alarms of one slot and the topic they speak to. What they watch and when they ring stands in infra.alarm_table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from infra import naming, policies, slo
from infra.alarm_table import OBJECTIVES, OPERATIONS, RUNBOOKS, Alarm, Watched, launch_failures, replication
from infra.config import Settings
from infra.keys import Keys

LABEL_LENGTH = 255  # the longest that CloudWatch takes


class Alarms(pulumi.ComponentResource):
    """
    Every alarm of the table, one per group that launches nothing, and those of replication; `names` by alarm key.

    `balancer` is the load balancer's dimension, `groups` the Auto Scaling groups by a short name.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        *,
        balancer: pulumi.Input[str],
        groups: Mapping[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:Alarms", settings.fleet, None, opts)
        self._settings = settings
        self._child = pulumi.ResourceOptions(parent=self)
        self.topic = self._topic(keys)
        values = {"Fleet": settings.fleet, "Slot": settings.slot, "LoadBalancer": balancer}
        self.alarms = {alarm.key: self._alarm(alarm, values) for alarm in (*OBJECTIVES, *OPERATIONS)}
        for short, group in groups.items():
            self._alarm(launch_failures(short), {"AutoScalingGroupName": group})
        self.names = {key: alarm.name for key, alarm in self.alarms.items()}
        self.register_outputs({"topic": self.topic.arn})

    def _topic(self, keys: Keys) -> aws.sns.Topic:
        fleet = self._settings.fleet
        topic = aws.sns.Topic(
            naming.logical("topic", fleet, "alerts"),
            kms_master_key_id=keys.operations.arn,
            tags={"vectorfleet:fleet": fleet},
            opts=self._child,
        )
        aws.sns.TopicPolicy(
            f"{fleet}-alerts",
            arn=topic.arn,
            policy=topic.arn.apply(policies.alarms_may_publish).apply(policies.text),
            opts=self._child,
        )
        for number, email in enumerate(self._settings.alerts.emails):
            aws.sns.TopicSubscription(
                f"{fleet}-alerts-{number}", topic=topic.arn, protocol="email", endpoint=email, opts=self._child
            )
        return topic

    def watch_replication(self, rule: str, source: pulumi.Input[str], target: pulumi.Input[str]) -> None:
        """Alarms for one replication rule between two buckets."""
        values = {"SourceBucket": source, "DestinationBucket": target, "RuleId": rule}
        for alarm in replication(rule):
            self._alarm(alarm, values)

    def _alarm(self, alarm: Alarm, values: Mapping[str, pulumi.Input[str]]) -> aws.cloudwatch.MetricAlarm:
        """The alarm over metrics whose dimensions have these values."""
        name = naming.alarm(self._settings.fleet, self._settings.slot, alarm.ending)
        breaching, evaluated = alarm.periods
        args = aws.cloudwatch.MetricAlarmArgs(
            name=name,
            alarm_description=f"{alarm.says[0].upper()}{alarm.says[1:]}. Runbook: {RUNBOOKS[alarm.runbook]}",
            evaluation_periods=evaluated,
            datapoints_to_alarm=breaching,
            comparison_operator=alarm.comparison,
            threshold=slo.RECALL[self._settings.index.type] if alarm.key == "recall" else alarm.threshold,
            # A percentile of a handful of samples is one slow request.
            evaluate_low_sample_count_percentiles="ignore" if alarm.is_percentile else None,
            treat_missing_data=alarm.silence,
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
        )
        period = alarm.period_seconds or self._settings.alarm_period_seconds
        if alarm.expression is None:
            _watch_one(args, alarm.watched[0], values, period)
        else:
            args.metric_queries = [_expression(alarm), *_queries(alarm.watched, values, period)]
        return aws.cloudwatch.MetricAlarm(name, args, opts=self._child)


def _dimensions(watched: Watched, values: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    return {name: values[name] for name in watched.dimensions}


def _watch_one(
    args: aws.cloudwatch.MetricAlarmArgs, watched: Watched, values: Mapping[str, pulumi.Input[str]], period: int
) -> None:
    args.namespace, args.metric_name = watched.namespace, watched.metric
    args.dimensions = _dimensions(watched, values)
    args.period, args.unit = period, watched.unit
    if watched.statistic.startswith("p"):
        args.extended_statistic = watched.statistic
    else:
        args.statistic = watched.statistic


def _expression(alarm: Alarm) -> aws.cloudwatch.MetricAlarmMetricQueryArgs:
    return aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id="rate", expression=alarm.expression, label=alarm.says[:LABEL_LENGTH], return_data=True
    )


def _queries(
    watched: Sequence[Watched], values: Mapping[str, pulumi.Input[str]], period: int
) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgs]:
    return [
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=f"m{number}",
            return_data=False,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=one.namespace,
                metric_name=one.metric,
                dimensions=_dimensions(one, values),
                period=period,
                stat=one.statistic,
                unit=one.unit,
            ),
        )
        for number, one in enumerate(watched, start=1)
    ]
