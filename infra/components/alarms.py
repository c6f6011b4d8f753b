"""Alarms and their topics, one in each region; infra.facts.alarm_table defines the alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.components import policies
from infra.components.keys import Keys
from infra.configuration.settings import Settings, SlotSettings
from infra.facts import naming
from infra.facts.alarm_table import (
    FLEET,
    RUNBOOKS,
    Alarm,
    Watched,
    launch_failures,
    replication_failed,
    replication_late,
    table,
)

LABEL_LENGTH = 255  # the longest that CloudWatch takes
Values = Mapping[str, pulumi.Input[str]]  # of the dimensions, by their names


@dataclass(frozen=True)
class Watch:
    """A registered alarm: its row, its region, and the values of its dimensions."""

    alarm: Alarm
    values: Values
    region: str


@dataclass(frozen=True)
class Group:
    """A watched Auto Scaling group: its name, and the longest replacement of its instances."""

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
        """Values of its metrics' dimensions."""
        return {"SourceBucket": self.source, "DestinationBucket": self.target, "RuleId": self.name}


@dataclass(frozen=True)
class SlotAlarms:
    """The alarms of one slot; `names` has those of the table by key."""

    watches: Sequence[Watch]
    names: Mapping[str, pulumi.Output[str]]


class Alarms(pulumi.ComponentResource):
    """The alarms of the fleet with their topic, one for each replication rule, and those of each slot."""

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        region: str,
        *,
        balancer: pulumi.Input[str],
        rules: Sequence[Rule] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:Alarms", settings.fleet, None, opts)
        self._settings, self._region, self._balancer = settings, region, balancer
        self._child = pulumi.ResourceOptions(parent=self)
        self.topic = _topic(settings, keys, "alerts", self._child)
        self.watches = [
            *(Watch(alarm, {"LoadBalancer": balancer}, region) for alarm in FLEET),
            *(Watch(replication_failed(rule.name), rule.values, region) for rule in rules),
        ]
        _MetricAlarms(settings, self.topic, self._child).make(self.watches)
        self.register_outputs({"topic": self.topic.arn})

    def of_slot(
        self, settings: SlotSettings, target_group: pulumi.Input[str], groups: Mapping[str, Group]
    ) -> SlotAlarms:
        """Register the alarms of a slot: `groups` are its Auto Scaling groups by a short name."""
        ours = {
            "Fleet": settings.fleet,
            "Slot": settings.slot,
            "LoadBalancer": self._balancer,
            "TargetGroup": target_group,
        }
        alarms = table(settings.index.type, settings.indexing.lag_seconds)
        standard = [Watch(alarm, ours, self._region) for alarm in alarms]
        launches = [
            Watch(launch_failures(short, group.seconds), {"AutoScalingGroupName": group.name}, self._region)
            for short, group in groups.items()
        ]
        watches = [*standard, *launches]
        made = _MetricAlarms(settings, self.topic, self._child, settings.slot).make(watches)
        return SlotAlarms(watches, {alarm.key: one.name for alarm, one in zip(alarms, made, strict=False)})


class VaultAlarms(pulumi.ComponentResource):
    """Alarms on late copies, which only the vault's region sees, with a topic of that region."""

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
        _MetricAlarms(settings, self.topic, child).make(self.watches)
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
class _MetricAlarms:
    """Registers alarms of a slot or of the fleet, which publish to a topic."""

    settings: Settings
    topic: aws.sns.Topic
    child: pulumi.ResourceOptions
    scope: str = naming.FLEET_SCOPE

    def make(self, watches: Sequence[Watch]) -> list[aws.cloudwatch.MetricAlarm]:
        return [self._made(watch) for watch in watches]

    def _made(self, watch: Watch) -> aws.cloudwatch.MetricAlarm:
        """Register the alarm on metrics with the watch's dimensions."""
        alarm, values = watch.alarm, watch.values
        name = naming.alarm(self.settings.fleet, self.scope, alarm.ending)
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
