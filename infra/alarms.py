"""Alarms and the topics they speak to, one in each region. What they watch stands in infra.alarm_table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import naming, policies
from infra.alarm_table import (
    RUNBOOKS,
    Alarm,
    Watched,
    launch_failures,
    replication_failed,
    replication_late,
    table,
)
from infra.keys import Keys
from infra.settings import Settings

LABEL_LENGTH = 255  # the longest that CloudWatch takes
Values = Mapping[str, pulumi.Input[str]]  # of the dimensions, by their names


@dataclass(frozen=True)
class Watch:
    """An alarm as it was made: what it watches, where, and the values of its dimensions."""

    alarm: Alarm
    values: Values
    region: str


@dataclass(frozen=True)
class Group:
    """An Auto Scaling group that is watched: its name, and how long a replacement of its instances may take."""

    name: pulumi.Input[str]
    seconds: int = 0


@dataclass(frozen=True)
class Rule:
    """A replication rule between two buckets."""

    name: str
    source: pulumi.Input[str]
    target: pulumi.Input[str]

    @property
    def values(self) -> Values:
        """The values of its metrics' dimensions."""
        return {"SourceBucket": self.source, "DestinationBucket": self.target, "RuleId": self.name}


class Alarms(pulumi.ComponentResource):
    """
    Every alarm of the table, one per group that launches nothing, and one per replication rule that fails; `names` by
    alarm key.

    `balancer` is the load balancer's dimension, `groups` the Auto Scaling groups by a short name.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        region: str,
        *,
        balancer: pulumi.Input[str],
        groups: Mapping[str, Group],
        rules: Sequence[Rule] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:Alarms", settings.fleet, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.topic = _topic(settings, keys, "alerts", child)
        ours = {"Fleet": settings.fleet, "Slot": settings.slot, "LoadBalancer": balancer}
        standard = [Watch(alarm, ours, region) for alarm in table(settings.index.type, settings.indexing.lag_seconds)]
        self.watches = [
            *standard,
            *(
                Watch(launch_failures(short, group.seconds), {"AutoScalingGroupName": group.name}, region)
                for short, group in groups.items()
            ),
            *(Watch(replication_failed(rule.name), rule.values, region) for rule in rules),
        ]
        made = [_MetricAlarm(settings, self.topic, child).of(watch) for watch in self.watches]
        self.names = {watch.alarm.key: alarm.name for watch, alarm in zip(standard, made, strict=False)}
        self.register_outputs({"topic": self.topic.arn})


class VaultAlarms(pulumi.ComponentResource):
    """What only the vault's region sees, where an alarm needs a topic of its own: copies that arrive late."""

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        region: str,
        rules: Sequence[Rule],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:VaultAlarms", settings.fleet, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.topic = _topic(settings, keys, f"alerts-{region}", child)
        self.watches = [Watch(replication_late(rule.name), rule.values, region) for rule in rules]
        for watch in self.watches:
            _MetricAlarm(settings, self.topic, child).of(watch)
        self.register_outputs({"topic": self.topic.arn})


def _topic(settings: Settings, keys: Keys, name: str, child: pulumi.ResourceOptions) -> aws.sns.Topic:
    fleet = settings.fleet
    topic = aws.sns.Topic(
        naming.logical("topic", fleet, name),
        kms_master_key_id=keys.operations.arn,
        tags={"vectorfleet:fleet": fleet},
        opts=child,
    )
    aws.sns.TopicPolicy(
        f"{fleet}-{name}",
        arn=topic.arn,
        policy=topic.arn.apply(policies.alarms_may_publish).apply(policies.text),
        opts=child,
    )
    for number, email in enumerate(settings.alerts.emails):
        aws.sns.TopicSubscription(
            f"{fleet}-{name}-{number}", topic=topic.arn, protocol="email", endpoint=email, opts=child
        )
    return topic


@dataclass(frozen=True)
class _MetricAlarm:
    """Registers alarms that speak to a topic."""

    settings: Settings
    topic: aws.sns.Topic
    child: pulumi.ResourceOptions

    def of(self, watch: Watch) -> aws.cloudwatch.MetricAlarm:
        """The alarm over metrics whose dimensions have the watch's values."""
        alarm, values = watch.alarm, watch.values
        name = naming.alarm(self.settings.fleet, self.settings.slot, alarm.ending)
        breaching, evaluated = alarm.periods
        args = aws.cloudwatch.MetricAlarmArgs(
            name=name,
            alarm_description=f"{alarm.says[0].upper()}{alarm.says[1:]}. Runbook: {RUNBOOKS[alarm.runbook]}",
            evaluation_periods=evaluated,
            datapoints_to_alarm=breaching,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            # A percentile of a handful of samples is one slow request.
            evaluate_low_sample_count_percentiles="ignore" if alarm.is_percentile else None,
            treat_missing_data=alarm.silence,
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
        )
        period = alarm.period_seconds or self.settings.alarm_period_seconds
        if alarm.expression is None:
            _watch_one(args, alarm.watched[0], values, period)
        else:
            args.metric_queries = [_expression(alarm), *_queries(alarm.watched, values, period)]
        return aws.cloudwatch.MetricAlarm(name, args, opts=self.child)


def _dimensions(watched: Watched, values: Values) -> dict[str, pulumi.Input[str]]:
    return {name: values[name] for name in watched.dimensions}


def _watch_one(args: aws.cloudwatch.MetricAlarmArgs, watched: Watched, values: Values, period: int) -> None:
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
    watched: Sequence[Watched], values: Values, period: int
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
