"""CloudWatch metrics with percentiles and metric math."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterValue
from moto.cloudwatch.models import CloudWatchBackend, MetricDatum
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from rehearsal.emulator.alarms.expressions import Series, evaluate
from rehearsal.emulator.alarms.metrics import RETENTION_SECONDS, Metric, Store, summarise
from rehearsal.emulator.corrections import Method, corrects, replaces

# By region: a metric is seen only in the region in which it was put.
_STORES: defaultdict[str, Store] = defaultdict(Store)
# Namespaces of AWS that this emulator fills itself; moto computes some metrics of the others.
PUBLISHED = ("AWS/AutoScaling", "AWS/ApplicationELB", "AWS/S3")


def store_of(backend: Any) -> Store:
    """Return the metric data of a backend's region."""
    return _STORES[backend.region_name]


def unix(moment: datetime) -> float:
    """Return the Unix time of a moment; moto's naive moments are in UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@replaces(CloudWatchBackend, "put_metric_data")
def _put_metric_data(self: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    """Store summaries; moto stores each sample of a Values/Counts entry as an object that every query searches."""
    for number, datum in enumerate(metric_data, 1):
        self._validate_parameters_put_metric_data(datum, number)
    store = store_of(self)
    for datum in metric_data:
        dimensions = datum.get("Dimensions") or []
        metric = Metric.of(namespace, datum["MetricName"], dimensions)
        moment = datum.get("Timestamp") or utcnow()
        if not store.known(metric):
            # ListMetrics needs one entry for each metric.
            self.metric_data.append(MetricDatum(namespace, metric.name, 0.0, dimensions, moment))
        store.put(metric, unix(moment), summarise(datum))


def _starts(first: datetime, last: datetime, period: int) -> list[int]:
    start = int(unix(first)) // period * period
    return list(range(max(start, int(unix(last)) - RETENTION_SECONDS), int(unix(last)), period))


def _query(store: Store, query: Mapping[str, Any], first: datetime, last: datetime) -> tuple[Series, list[int]]:
    stat = query["MetricStat"]
    named = stat["Metric"]
    metric = Metric.of(named["Namespace"], named["MetricName"], named.get("Dimensions") or [])
    period = int(stat["Period"])
    starts = _starts(first, last, period)
    found = store.summaries(metric, starts, period)
    values = {start: found[start].statistic(stat["Stat"]) for start in starts if start in found}
    return {start: value for start, value in values.items() if value is not None}, starts


def _all_series(store: Store, queries: list[dict[str, Any]], first: datetime, last: datetime) -> dict[str, Series]:
    series: dict[str, Series] = {}
    starts: list[int] = []
    for query in sorted(queries, key=lambda query: "Expression" in query):
        if "Expression" in query:
            series[query["Id"]] = evaluate(query["Expression"], series, starts)
        else:
            series[query["Id"]], starts = _query(store, query, first, last)
    return series


def _kept_by_moto(*namespaces: str) -> bool:
    return any(name.startswith("AWS/") and name not in PUBLISHED for name in namespaces)


@corrects(CloudWatchBackend, "get_metric_data")
def _get_metric_data(plain: Method, self: Any, queries: Any, start_time: Any, end_time: Any, scan_by: str = "") -> Any:
    """Evaluate percentiles, on which moto fails, and expressions, for which moto returns empty lists."""
    if _kept_by_moto(*(query["MetricStat"]["Metric"]["Namespace"] for query in queries if "MetricStat" in query)):
        return plain(self, queries=queries, start_time=start_time, end_time=end_time, scan_by=scan_by)
    try:
        series = _all_series(store_of(self), queries, start_time, end_time)
    except ValueError as problem:
        raise InvalidParameterValue(str(problem)) from None
    results = []
    for query in queries:
        if not query.get("ReturnData", True):
            continue
        points = sorted(series[query["Id"]].items(), reverse=scan_by != "TimestampAscending")
        results.append(
            {
                "id": query["Id"],
                "label": query.get("Label") or query["Id"],
                "timestamps": [datetime.fromtimestamp(start, UTC) for start, _ in points],
                "values": [value for _, value in points],
                "status_code": "Complete",
            }
        )
    return results


@corrects(CloudWatchResponse, "get_metric_statistics")
def _get_metric_statistics(plain: Method, self: Any) -> Any:
    """Evaluate full periods, which moto starts at the first sample, and percentiles, which moto lacks."""
    if _kept_by_moto(self._get_param("Namespace")):
        return plain(self)
    simple = self._get_param("Statistics", []) or []
    extended = self._get_param("ExtendedStatistics", []) or []
    period = self._get_int_param("Period")
    dimensions = self._get_param("Dimensions", []) or []
    metric = Metric.of(self._get_param("Namespace"), self._get_param("MetricName"), dimensions)
    starts = _starts(self._get_param("StartTime"), self._get_param("EndTime"), period)
    datapoints = []
    store = store_of(self.cloudwatch_backend)
    try:
        for start, summary in sorted(store.summaries(metric, starts, period).items()):
            point: dict[str, Any] = {name: summary.statistic(name) for name in simple}
            point |= {"Timestamp": datetime.fromtimestamp(start, UTC), "Unit": "None"}
            known = {name: summary.statistic(name) for name in extended}
            point |= {"ExtendedStatistics": known} if known else {}
            datapoints.append(point)
    except ValueError as problem:
        raise InvalidParameterValue(str(problem)) from None
    return ActionResult({"Label": metric.name, "Datapoints": datapoints})
