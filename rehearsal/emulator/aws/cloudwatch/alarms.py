"""Metric alarms with evaluation, history and actions; moto stores alarms only."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.sns.models import sns_backends

from rehearsal.emulator.alarms import evaluation
from rehearsal.emulator.alarms.metrics import Metric
from rehearsal.emulator.aws.cloudwatch.metrics import store_of, unix
from rehearsal.emulator.corrections import Method, adds, corrects

_HISTORY_KEPT = 1000
_REGION_NAMES = {"us-east-1": "US East (N. Virginia)", "us-west-2": "US West (Oregon)"}
_LOCK = threading.RLock()
# One worker keeps the order of messages; a slow subscriber must not hold up the evaluation.
_PUBLISHER = ThreadPoolExecutor(1, thread_name_prefix="alarm-actions")
_log = logging.getLogger(__name__)


def _metric(namespace: str, name: str, dimensions: Any) -> Metric:
    return Metric(namespace, name, tuple(sorted((d.name, d.value) for d in dimensions)))


def _queries(alarm: Any) -> tuple[evaluation.Query, ...]:
    if not alarm.metric_data_queries:
        metric = _metric(alarm.namespace, alarm.metric_name, alarm.dimensions)
        return (evaluation.Query("m1", metric, alarm.extended_statistic or alarm.statistic),)
    queries = []
    for query in alarm.metric_data_queries:
        returns = query.return_data in (None, True, "true")
        if query.metric_stat:
            named = query.metric_stat.metric
            metric = _metric(named.namespace, named.metric_name, named.dimensions)
            queries.append(evaluation.Query(query.id, metric, query.metric_stat.stat, "", returns))
        else:
            queries.append(evaluation.Query(query.id, None, "", query.expression, returns))
    return tuple(queries)


def _period(alarm: Any) -> int:
    stats = [query.metric_stat for query in alarm.metric_data_queries if query.metric_stat]
    return int(stats[0].period if stats else alarm.period)


def definition(alarm: Any) -> evaluation.Definition:
    """Return moto's alarm in the form that the evaluator needs."""
    periods = int(alarm.evaluation_periods)
    return evaluation.Definition(
        queries=_queries(alarm),
        period_seconds=_period(alarm),
        periods=periods,
        needed=int(alarm.datapoints_to_alarm or periods),
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        missing=alarm.treat_missing_data or "missing",
        ignore_low_samples=alarm.evaluate_low_sample_count_percentile == "ignore",
    )


def _remember(backend: Any, alarm: Any, kind: str, summary: str, data: Mapping[str, Any]) -> None:
    history: list[dict[str, Any]] = backend.__dict__.setdefault("alarm_history", [])
    entry = {"AlarmName": alarm.name, "AlarmType": "MetricAlarm", "Timestamp": utcnow()}
    history.append(entry | {"HistoryItemType": kind, "HistorySummary": summary, "HistoryData": json.dumps(data)})
    del history[:-_HISTORY_KEPT]


def _trigger(alarm: Any) -> dict[str, Any]:
    trigger: dict[str, Any] = {
        "Period": _period(alarm),
        "EvaluationPeriods": int(alarm.evaluation_periods),
        "DatapointsToAlarm": int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": float(alarm.threshold),
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }
    if alarm.metric_data_queries:
        return trigger | {"Metrics": [{"Id": q.id, "Expression": q.expression} for q in alarm.metric_data_queries]}
    extended = alarm.extended_statistic
    return trigger | {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "Dimensions": [{"name": d.name, "value": d.value} for d in alarm.dimensions],
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        **({"ExtendedStatistic": extended} if extended else {"Statistic": alarm.statistic.upper()}),
        "Unit": alarm.unit,
    }


def _message(backend: Any, alarm: Any, old: str) -> dict[str, Any]:
    """Return the message that CloudWatch publishes when an alarm changes its state."""
    stamp = "%Y-%m-%dT%H:%M:%S.%f"
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": backend.account_id,
        "AlarmConfigurationUpdatedTimestamp": alarm.configuration_updated_timestamp.strftime(stamp)[:-3] + "+0000",
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": alarm.state_updated_timestamp.strftime(stamp)[:-3] + "+0000",
        "Region": _REGION_NAMES.get(backend.region_name, backend.region_name),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": old,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "Trigger": _trigger(alarm),
    }


def _announce(backend: Any, alarm: Any, old: str) -> None:
    actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}
    chosen = actions.get(alarm.state_value, alarm.insufficient_data_actions) if alarm.actions_enabled else []
    region = _REGION_NAMES.get(backend.region_name, backend.region_name)
    subject = f'{alarm.state_value}: "{alarm.name}" in {region}'[:99]
    message = json.dumps(_message(backend, alarm, old))
    for topic in (action for action in chosen or [] if ":sns:" in action):
        _PUBLISHER.submit(_publish, backend, alarm, topic, subject, message)


def _publish(backend: Any, alarm: Any, topic: str, subject: str, message: str) -> None:
    try:
        sns_backends[backend.account_id][backend.region_name].publish(message=message, arn=topic, subject=subject)
    except Exception as problem:
        _log.warning("alarm %s cannot publish to %s: %s", alarm.name, topic, problem)
        _remember(backend, alarm, "Action", f"Failed to execute action {topic}", {"error": str(problem)})
        return
    _remember(backend, alarm, "Action", f"Successfully executed action {topic}", {"publishedMessage": message})


def _transition(backend: Any, alarm: Any, state: str, reason: str, data: str) -> None:
    old, old_reason = alarm.state_value, alarm.state_reason
    alarm.update_state(reason, data, state)
    if state == old:
        return
    _log.info("alarm %s: %s -> %s: %s", alarm.name, old, state, reason)
    change = {"oldState": {"stateValue": old, "stateReason": old_reason}}
    change |= {"newState": {"stateValue": state, "stateReason": reason, "stateReasonData": json.loads(data)}}
    _remember(backend, alarm, "StateUpdate", f"Alarm updated from {old} to {state}", {"version": "1.0", **change})
    _announce(backend, alarm, old)


def evaluate_all(backend: Any) -> None:
    """Evaluate every metric alarm once, at the current time."""
    now = time.time()
    for alarm in [alarm for alarm in list(backend.alarms.values()) if alarm.rule is None]:
        with _LOCK:
            _evaluate(backend, alarm, now)


def _evaluate(backend: Any, alarm: Any, now: float) -> None:
    try:
        defined = definition(alarm)
        verdict = evaluation.evaluate(defined, store_of(backend).summaries, now, alarm.state_value)
        data = evaluation.reason_data(defined, verdict, now)
    except (ValueError, KeyError, TypeError) as problem:
        verdict = evaluation.Verdict("INSUFFICIENT_DATA", f"The alarm cannot be evaluated: {problem}")
        data = "{}"
    if verdict.state != alarm.state_value:
        _transition(backend, alarm, verdict.state, verdict.reason, data)


def _check_regions(region: str, *actions: list[str] | None) -> None:
    for action in [action for listed in actions for action in listed or [] if action.startswith("arn:")]:
        # The ARNs of EC2 actions have a region too, at the same place as those of topics.
        named = action.split(":")[3]
        if named != region:
            raise ValidationError(f"Invalid region {named} specified. Only {region} is supported.")


@corrects(CloudWatchBackend, "put_metric_alarm")
def _put_metric_alarm(plain: Method, self: Any, *args: Any, **kwargs: Any) -> Any:
    """Start an alarm as INSUFFICIENT_DATA (moto: OK), keep its state on change, refuse topics of other regions."""
    told = ("alarm_actions", "ok_actions", "insufficient_data_actions")
    _check_regions(self.region_name, *(kwargs.get(name) for name in told))
    with _LOCK:
        before = self.alarms.get(kwargs["name"])
        alarm = plain(self, *args, **kwargs)
        if before is None:
            alarm.state_value = "INSUFFICIENT_DATA"
        else:
            alarm.state_value, alarm.state_reason = before.state_value, before.state_reason
            alarm.state_reason_data = before.state_reason_data
            alarm.state_updated_timestamp = before.state_updated_timestamp
    done = "updated" if before else "created"
    _remember(self, alarm, "ConfigurationUpdate", f'Alarm "{alarm.name}" {done}', {"version": "1.0"})
    return alarm


@corrects(CloudWatchBackend, "set_alarm_state")
def _set_alarm_state(
    plain: Method, self: Any, alarm_name: str, reason: str, reason_data: str | None, state: str
) -> None:
    """Record the change in the history and carry out the actions; moto stores the state only."""
    with _LOCK:
        alarm: Alarm | None = self.alarms.get(alarm_name)
        before = (alarm.state_value, alarm.state_reason, alarm.state_reason_data) if alarm else None
        plain(self, alarm_name, reason, reason_data, state)
        if alarm is not None and before is not None:
            # moto validated the state and stored it, so the transition has to begin at the state before.
            alarm.state_value, alarm.state_reason, alarm.state_reason_data = before
            _transition(self, alarm, state, reason, reason_data or "{}")


@adds(CloudWatchResponse, "describe_alarm_history")
def _describe_alarm_history(self: Any) -> Any:
    name, kind = self._get_param("AlarmName"), self._get_param("HistoryItemType")
    first, last = self._get_param("StartDate"), self._get_param("EndDate")

    def fits(item: dict[str, Any]) -> bool:
        moment = unix(item["Timestamp"])
        in_time = (not first or moment >= unix(first)) and (not last or moment <= unix(last))
        return in_time and name in (None, item["AlarmName"]) and kind in (None, item["HistoryItemType"])

    items = [item for item in self.cloudwatch_backend.__dict__.get("alarm_history", []) if fits(item)]
    if self._get_param("ScanBy") != "TimestampAscending":
        items.reverse()
    return ActionResult({"AlarmHistoryItems": items[: self._get_int_param("MaxRecords", 100)]})
