"""The alarms of a slot and of the fleet as tables: metric, threshold, meaning of missing data, and runbook. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from infra.facts import slo

RUNBOOKS = {
    "RB-02": "runbooks/RB-02-a-shard-is-lost.md",
    "RB-04": "runbooks/RB-04-a-replica-stands-still.md",
    "RB-05": "runbooks/RB-05-answers-are-slow-or-poor.md",
    "RB-06": "runbooks/RB-06-memory-runs-short.md",
    "RB-07": "runbooks/RB-07-backups-are-late.md",
    "RB-10": "runbooks/RB-10-a-release-or-a-configuration-has-gone-bad.md",
    "RB-15": "runbooks/RB-15-writes-are-not-found.md",
}

Missing = Literal["breaching", "notBreaching", "missing"]
Comparison = Literal["GreaterThanThreshold", "LessThanThreshold"]


@dataclass(frozen=True)
class Watched:
    """
    One metric and its statistic over a period, which may be a percentile.

    `dimensions` must be exactly those with which the metric is emitted.
    """

    metric: str
    statistic: str
    unit: str | None = None
    namespace: str = slo.NAMESPACE
    dimensions: tuple[str, ...] = slo.DIMENSIONS


@dataclass(frozen=True)
class Alarm:
    """
    One alarm: `key` is its name in the outputs, `ending` the end of its name in CloudWatch.

    An `expression` calls the metrics m1, m2, … The period is the stack's unless `period_seconds` is set. Alarms of one
    `family` share a graph of the dashboard; an alarm without one has its own graph.
    """

    key: str
    watched: tuple[Watched, ...]
    threshold: float
    says: str
    runbook: str
    silence: Missing
    comparison: Comparison = "GreaterThanThreshold"
    expression: str | None = None
    period_seconds: int | None = None
    periods: tuple[int, int] = (2, 3)  # breaching, of evaluated ones: one breach is noise, two are a finding
    family: str = ""

    @property
    def ending(self) -> str:
        """Return the end of the alarm's name, as runbooks write it."""
        return self.key.replace("_", "-")

    @property
    def is_percentile(self) -> bool:
        """Say whether CloudWatch has to ignore periods with few samples."""
        return self.watched[0].statistic.startswith("p")


def _objective(key: str, alarm: str, watched: Watched, runbook: str) -> Alarm:
    row = slo.objective(key)
    good, bad = ("below", "above") if row.direction == "below" else ("above", "below")
    return Alarm(
        key=alarm,
        watched=(watched,),
        threshold=row.alert,
        says=f"{row.title} is {bad} {row.alert:g} {row.unit} (target: {good} {row.target:g})",
        runbook=runbook,
        # Without requests there is no data, and a quiet night is no breach.
        silence="notBreaching",
        comparison="GreaterThanThreshold" if row.direction == "below" else "LessThanThreshold",
    )


def _ratio(key: str, part: Watched, whole: Watched, threshold: float, says: str, runbook: str) -> Alarm:
    return Alarm(
        key=key,
        watched=(part, whole),
        threshold=threshold,
        says=says,
        runbook=runbook,
        silence="notBreaching",
        expression="100 * m1 / m2",
    )


_REQUESTS = Watched("Requests", "Sum", "Count")
_BEHIND = Watched("BehindAnswers", "Sum", "Count")
_ERRORS = slo.objective("error_rate_percent")


def _balancer(metric: str, *dimensions: str) -> Watched:
    return Watched(metric, "Sum", "Count", "AWS/ApplicationELB", (*dimensions, "LoadBalancer"))


OBJECTIVES: tuple[Alarm, ...] = (
    _objective("retrieval_p95_ms", "retrieval_p95", Watched("RetrievalLatency", "p95", "Milliseconds"), "RB-02"),
    _objective("end_to_end_p95_ms", "end_to_end_p95", Watched("EndToEndLatency", "p95", "Milliseconds"), "RB-05"),
    _objective("relevance", "relevance", Watched("Relevance", "Average", "None"), "RB-05"),
    _objective("faithfulness", "faithfulness", Watched("Faithfulness", "Average", "None"), "RB-05"),
    _ratio(
        "error_rate",
        Watched("Errors", "Sum", "Count"),
        _REQUESTS,
        _ERRORS.alert,
        f"error rate is above {_ERRORS.alert:g} % (target: below {_ERRORS.target:g})",
        "RB-02",
    ),
    _objective("tokens_per_query", "tokens_per_query", Watched("TokensPerQuery", "Average", "Count"), "RB-05"),
)


def _index_lag(seconds: float) -> Alarm:
    return Alarm(
        "index_lag",
        # The maximum of all routers: a router that cannot read the documents log reports since when.
        (Watched("LagSeconds", "Maximum", "Seconds"),),
        seconds,
        f"writes older than {seconds:.0f} s are not found yet: the indexer stands or falls behind",
        "RB-15",
        "breaching",
    )


OPERATIONS: tuple[Alarm, ...] = (
    Alarm(
        "shard_down",
        # Every router counts the same shards, and a router that sees a replica is right.
        (Watched("ShardsDown", "Minimum", "Count"),),
        slo.SHARDS_DOWN,
        "a shard has no ready replica",
        "RB-02",
        "breaching",
    ),
    Alarm(
        "replicas_missing",
        (Watched("ReplicasMissing", "Minimum", "Count"),),
        slo.REPLICAS_MISSING,
        "fewer replicas are ready than planned",
        "RB-02",
        "breaching",
        period_seconds=300,
    ),
    Alarm(
        "stale_replicas",
        (Watched("StaleReplicas", "Maximum", "Count"),),
        slo.STALE_REPLICAS,
        "a replica stands still before a log entry that is damaged or ends processes",
        "RB-04",
        "notBreaching",
    ),
    Alarm(
        "diverged_shards",
        (Watched("DivergedShards", "Minimum", "Count"),),
        slo.DIVERGED_SHARDS,
        "replicas of a shard hold different documents at one position, and none has given way to a right one",
        "RB-04",
        "notBreaching",
        period_seconds=300,
    ),
    Alarm(
        "configuration_refused",
        (Watched("ConfigurationRefused", "Maximum", "Count"),),
        slo.CONFIGURATION_REFUSED,
        "the slot's build can't become what the configuration says, and goes on as it is",
        "RB-10",
        "notBreaching",
    ),
    Alarm(
        "process_starts",
        (Watched("ProcessStarts", "Maximum", "Count"),),
        slo.PROCESS_STARTS,
        f"a process has started more than {slo.PROCESS_STARTS} times in 15 minutes on one machine",
        "RB-10",
        # A process sends it only when it starts.
        "notBreaching",
        period_seconds=900,
        periods=(1, 1),
    ),
    _ratio(
        "partial_answers",
        Watched("PartialAnswers", "Sum", "Count"),
        _REQUESTS,
        slo.PARTIAL_PERCENT,
        f"more than {slo.PARTIAL_PERCENT:g} % of the answers lack a shard",
        "RB-02",
    ),
    Alarm(
        "server_errors",
        # The 503s for a shard that lags have an alarm of their own.
        (_balancer("HTTPCode_Target_5XX_Count", "TargetGroup"), _balancer("RequestCount", "TargetGroup"), _BEHIND),
        slo.SERVER_ERRORS_PERCENT,
        f"more than {slo.SERVER_ERRORS_PERCENT:g} % of the requests to the slot's routers end in 5xx",
        "RB-02",
        "notBreaching",
        # CloudWatch publishes no count of 0.
        expression="100 * (FILL(m1, 0) - FILL(m3, 0)) / m2",
    ),
    _index_lag(slo.LAG_SECONDS),
    _ratio(
        "behind_answers",
        _BEHIND,
        _balancer("RequestCount", "TargetGroup"),
        slo.BEHIND_PERCENT,
        f"more than {slo.BEHIND_PERCENT:g} % of the requests ask for a position that a shard does not reach in time",
        "RB-15",
    ),
    Alarm(
        "recall",
        (Watched("Recall", "Average", "None"),),
        slo.RECALL["hnsw"],
        "live searches find too little of what exact search finds",
        "RB-05",
        # Without searches there are no samples.
        "notBreaching",
        comparison="LessThanThreshold",
        period_seconds=300,
    ),
    Alarm(
        "memory_used",
        (Watched("MemoryUsed", "Maximum", "Percent"),),
        slo.MEMORY_USED_PERCENT,
        f"a node uses more than {slo.MEMORY_USED_PERCENT:g} % of its machine's memory",
        "RB-06",
        "breaching",
    ),
    Alarm(
        "formula_drift",
        (Watched("FormulaDrift", "Maximum", "None"),),
        slo.FORMULA_DRIFT,
        "a node holds more than the measured model says",
        "RB-06",
        "missing",
        period_seconds=3600,
    ),
    Alarm(
        "backup_age",
        (Watched("BackupAge", "Maximum", "Seconds"),),
        slo.BACKUP_AGE_HOURS * 3600,
        f"a write of more than {slo.BACKUP_AGE_HOURS:g} hours ago is in no snapshot of its shard",
        "RB-07",
        "breaching",
        period_seconds=300,
    ),
    Alarm(
        "refused_snapshots",
        (Watched("RefusedSnapshots", "Maximum", "Count"),),
        slo.REFUSED_SNAPSHOTS,
        "a snapshot is damaged, or not of its shard's log, and would be passed over by a restore",
        "RB-07",
        "notBreaching",
        period_seconds=300,
    ),
    Alarm(
        "drill_age",
        (Watched("DrillAge", "Minimum", "Seconds"),),
        slo.DRILL_AGE_DAYS * 86_400,
        f"no drill has passed for {slo.DRILL_AGE_DAYS:g} days",
        "RB-07",
        "breaching",
        period_seconds=3600,
    ),
)

FLEET: tuple[Alarm, ...] = (
    Alarm(
        "balancer_errors",
        # RequestCount lacks the requests for which there was no router.
        (_balancer("HTTPCode_ELB_5XX_Count"), _balancer("RequestCount")),
        slo.SERVER_ERRORS_PERCENT,
        f"more than {slo.SERVER_ERRORS_PERCENT:g} % of the requests end in a 5xx of the load balancer, not of a router",
        "RB-02",
        "notBreaching",
        expression="100 * FILL(m1, 0) / (FILL(m2, 0) + FILL(m1, 0))",
    ),
)


def table(index: str, lag_seconds: float = slo.LAG_SECONDS) -> tuple[Alarm, ...]:
    """Return the alarms of a slot: `index` decides the recall, `lag_seconds` the age of a write not found yet."""
    own = {"index_lag": _index_lag(lag_seconds)}
    return tuple(
        replace(alarm, threshold=slo.RECALL[index]) if alarm.key == "recall" else own.get(alarm.key, alarm)
        for alarm in (*OBJECTIVES, *OPERATIONS)
    )


def launch_failures(group: str, seconds: int) -> Alarm:
    """Return the alarm of one Auto Scaling group; `seconds` is the longest ordinary replacement of an instance."""
    minutes = max(slo.LAUNCH_MINUTES, math.ceil(seconds / 60))
    watched = Watched("GroupInServiceInstances", "Maximum", None, "AWS/AutoScaling", ("AutoScalingGroupName",))
    return Alarm(
        f"launch_failures_{group}",
        (watched,),
        slo.INSTANCES_IN_SERVICE,
        f"group {group} has had no instance in service for {minutes} minutes",
        "RB-02",
        "breaching",
        comparison="LessThanThreshold",
        period_seconds=60,
        periods=(minutes, minutes),
        family="Instances in service, by group",
    )


def _copies(metric: str, statistic: str) -> tuple[Watched]:
    return (Watched(metric, statistic, None, "AWS/S3", ("SourceBucket", "DestinationBucket", "RuleId")),)


def replication_failed(rule: str) -> Alarm:
    """Return the alarm on failed copies of a replication rule; S3 counts them in the source's region."""
    return Alarm(
        f"replication_failed_{rule}",
        _copies("OperationsFailedReplication", "Sum"),
        slo.REPLICATION_FAILURES,
        f"objects of {rule} were not copied to the vault",
        "RB-07",
        "notBreaching",
        period_seconds=300,
        # S3 does not retry, so no further data follows a single failure.
        periods=(1, 1),
        family="Copies that failed, by rule",
    )


def replication_late(rule: str) -> Alarm:
    """Return the alarm on late copies of a replication rule; S3 measures them in the destination's region."""
    minutes = slo.REPLICATION_LATENCY_SECONDS / 60
    return Alarm(
        f"replication_late_{rule}",
        _copies("ReplicationLatency", "Maximum"),
        slo.REPLICATION_LATENCY_SECONDS,
        f"copies of {rule} reach the vault later than {minutes:g} minutes",
        "RB-07",
        "notBreaching",
        period_seconds=300,
        periods=(1, 1),
        family="Copies that are late, by rule",
    )
