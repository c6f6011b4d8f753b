"""The alarms as they are registered, and the table that they come from."""

from __future__ import annotations

import json

import pytest

from infra import PROJECT_ROOT
from infra.facts import slo
from infra.facts.alarm_table import (
    FLEET,
    OBJECTIVES,
    OPERATIONS,
    RUNBOOKS,
    Alarm,
    launch_failures,
    replication_failed,
    replication_late,
)
from tests.infra.graphs import changed, one, rehearsal, role_of
from tests.service.emitted import emitted

METRIC_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
TABLE = (*OBJECTIVES, *OPERATIONS)
# Known to the application in front of the fleet alone.
THE_APPLICATIONS = {"EndToEndLatency", "Relevance", "Faithfulness", "TokensPerQuery"}


# Each alarm: statistic and metric, line, seconds of a period (the stack's own where None), periods, what silence means,
# and the page.
GOLDEN: dict[str, tuple[str, str, int | None, tuple[int, int], str, str]] = {
    "retrieval-p95": ("p95 RetrievalLatency", "> 500", None, (2, 3), "notBreaching", "RB-02"),
    "end-to-end-p95": ("p95 EndToEndLatency", "> 5000", None, (2, 3), "notBreaching", "RB-05"),
    "relevance": ("Average Relevance", "< 0.75", None, (2, 3), "notBreaching", "RB-05"),
    "faithfulness": ("Average Faithfulness", "< 0.8", None, (2, 3), "notBreaching", "RB-05"),
    "error-rate": ("Sum Errors, Sum Requests", "> 5", None, (2, 3), "notBreaching", "RB-02"),
    "tokens-per-query": ("Average TokensPerQuery", "> 10000", None, (2, 3), "notBreaching", "RB-05"),
    "shard-down": ("Minimum ShardsDown", "> 0", None, (2, 3), "breaching", "RB-02"),
    "replicas-missing": ("Minimum ReplicasMissing", "> 0", 300, (2, 3), "breaching", "RB-02"),
    "stale-replicas": ("Maximum StaleReplicas", "> 0", None, (2, 3), "notBreaching", "RB-04"),
    "diverged-shards": ("Minimum DivergedShards", "> 0", 300, (2, 3), "notBreaching", "RB-04"),
    "configuration-refused": ("Maximum ConfigurationRefused", "> 0", None, (2, 3), "notBreaching", "RB-10"),
    "process-starts": ("Maximum ProcessStarts", "> 2", 900, (1, 1), "notBreaching", "RB-10"),
    "partial-answers": ("Sum PartialAnswers, Sum Requests", "> 1", None, (2, 3), "notBreaching", "RB-02"),
    "server-errors": (
        "Sum HTTPCode_Target_5XX_Count, Sum RequestCount, Sum BehindAnswers",
        "> 5",
        None,
        (2, 3),
        "notBreaching",
        "RB-02",
    ),
    "index-lag": ("Maximum LagSeconds", "> 30", None, (2, 3), "breaching", "RB-15"),
    "behind-answers": ("Sum BehindAnswers, Sum RequestCount", "> 1", None, (2, 3), "notBreaching", "RB-15"),
    "recall": ("Average Recall", "< 0.9", 300, (2, 3), "notBreaching", "RB-05"),
    "memory-used": ("Maximum MemoryUsed", "> 90", None, (2, 3), "breaching", "RB-06"),
    "formula-drift": ("Maximum FormulaDrift", "> 1", 3600, (2, 3), "missing", "RB-06"),
    "backup-age": ("Maximum BackupAge", "> 86400", 300, (2, 3), "breaching", "RB-07"),
    "refused-snapshots": ("Maximum RefusedSnapshots", "> 0", 300, (2, 3), "notBreaching", "RB-07"),
    "drill-age": ("Minimum DrillAge", "> 3.024e+06", 3600, (2, 3), "breaching", "RB-07"),
    "balancer-errors": ("Sum HTTPCode_ELB_5XX_Count, Sum RequestCount", "> 5", None, (2, 3), "notBreaching", "RB-02"),
    "launch-failures-0-a": ("Maximum GroupInServiceInstances", "< 1", 60, (15, 15), "breaching", "RB-02"),
    "replication-failed-r": ("Sum OperationsFailedReplication", "> 0", 300, (1, 1), "notBreaching", "RB-07"),
    "replication-late-r": ("Maximum ReplicationLatency", "> 900", 300, (1, 1), "notBreaching", "RB-07"),
}


def test_every_alarm_rings_as_it_is_meant_to() -> None:
    others = (launch_failures("0-a", 900), replication_failed("r"), replication_late("r"))
    assert {
        alarm.ending: (
            ", ".join(f"{one.statistic} {one.metric}" for one in alarm.watched),
            f"{'<' if alarm.comparison == 'LessThanThreshold' else '>'} {alarm.threshold:g}",
            alarm.period_seconds,
            alarm.periods,
            alarm.silence,
            alarm.runbook,
        )
        for alarm in (*TABLE, *FLEET, *others)
    } == GOLDEN


def test_alarms_speak_both_ways_and_say_what_silence_means() -> None:
    topic = rehearsal().outputs["alerts_topic"]
    for alarm in rehearsal().of_type(METRIC_ALARM):
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [topic]
        assert alarm.inputs["treatMissingData"] in ("breaching", "notBreaching", "missing")
    assert set(rehearsal().outputs["slots"]["blue"]["alarms"].values()) <= {
        row.inputs["name"] for row in rehearsal().of_type(METRIC_ALARM)
    }


def test_every_alarms_runbook_exists_and_names_the_alarm() -> None:
    for alarm in changed(vault='{"region": "us-west-2"}').of_type(METRIC_ALARM):
        page = PROJECT_ROOT / alarm.inputs["alarmDescription"].rsplit(" ", 1)[1]
        ending = alarm.inputs["name"].removeprefix("rehearsal-blue").removeprefix("rehearsal-fleet")
        for family in ("-launch-failures-", "-replication-failed-", "-replication-late-"):
            ending = f"{family}…" if ending.startswith(family) else ending
        assert f"`…{ending}`" in page.read_text().split("## 1.")[0]


@pytest.mark.parametrize("alarm", TABLE, ids=lambda alarm: alarm.key)
def test_every_watched_metric_is_emitted_with_its_dimensions(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = {
        (datum["MetricName"], datum["Unit"], tuple(named["Name"] for named in datum["Dimensions"]))
        for datum in emitted(monkeypatch)
    }
    for watched in alarm.watched:
        if watched.namespace == slo.NAMESPACE and watched.metric not in THE_APPLICATIONS:
            assert (watched.metric, watched.unit, watched.dimensions) in sent


def test_every_runbook_of_the_table_is_used() -> None:
    assert {alarm.runbook for alarm in TABLE} | {"RB-07"} == RUNBOOKS.keys()


@pytest.mark.parametrize("objective", slo.TABLE, ids=lambda objective: objective.key)
def test_every_objective_has_an_alarm_at_its_alert_line(objective: slo.Objective) -> None:
    alarm = OBJECTIVES[slo.TABLE.index(objective)]
    assert alarm.threshold == objective.alert
    assert (alarm.comparison == "GreaterThanThreshold") == (objective.direction == "below")


def test_percentiles_leave_out_periods_with_few_samples() -> None:
    for alarm in rehearsal().of_type(METRIC_ALARM):
        is_percentile = "extendedStatistic" in alarm.inputs
        assert (alarm.inputs.get("evaluateLowSampleCountPercentiles") == "ignore") == is_percentile


def test_the_p95_alarm_watches_the_tables_line() -> None:
    alarm = one(rehearsal(), METRIC_ALARM, "retrieval-p95").inputs
    assert alarm["threshold"] == slo.alert("retrieval_p95_ms") == 500
    assert (alarm["extendedStatistic"], alarm["period"], alarm["namespace"]) == ("p95", 10, "vectorfleet")
    assert alarm["dimensions"] == {"Fleet": "rehearsal", "Slot": "blue"}


def test_the_error_rate_is_computed_from_counts() -> None:
    alarm = one(rehearsal(), METRIC_ALARM, "error-rate").inputs
    rate, errors, requests = alarm["metricQueries"]
    assert alarm["threshold"] == slo.alert("error_rate_percent") == 5
    assert rate["expression"] == "100 * m1 / m2"
    assert [(row["id"], row["metric"]["metricName"]) for row in (errors, requests)] == [
        ("m1", "Errors"),
        ("m2", "Requests"),
    ]
    assert {row["metric"]["period"] for row in (errors, requests)} == {10}
    assert [row.get("returnData") for row in (rate, errors, requests)] == [True, False, False]


def test_server_errors_are_those_of_the_slots_routers() -> None:
    rate, *counts = one(rehearsal(), METRIC_ALARM, "server-errors").inputs["metricQueries"]
    # Answers for which a shard lags are routers' 503s, and no errors.
    assert rate["expression"] == "100 * (FILL(m1, 0) - FILL(m3, 0)) / m2"
    assert [row["metric"]["metricName"] for row in counts] == [
        "HTTPCode_Target_5XX_Count",
        "RequestCount",
        "BehindAnswers",
    ]
    for row in counts[:-1]:
        assert row["metric"]["dimensions"]["LoadBalancer"].startswith("app/rehearsal-")
        assert row["metric"]["dimensions"]["TargetGroup"].startswith("targetgroup/rehearsal-blue-")
    assert counts[-1]["metric"]["dimensions"] == {"Fleet": "rehearsal", "Slot": "blue"}


def test_the_load_balancers_own_errors_are_the_fleets() -> None:
    rate, *counts = one(rehearsal(), METRIC_ALARM, "rehearsal-fleet-balancer-errors").inputs["metricQueries"]
    # Without a router to choose there are no counted requests: 12 errors are 100 %, not nothing.
    assert rate["expression"] == "100 * FILL(m1, 0) / (FILL(m2, 0) + FILL(m1, 0))"
    assert [row["metric"]["metricName"] for row in counts] == ["HTTPCode_ELB_5XX_Count", "RequestCount"]
    assert all(row["metric"]["dimensions"].keys() == {"LoadBalancer"} for row in counts)


def test_every_group_is_watched_for_launches() -> None:
    watched = {
        row.inputs["dimensions"]["AutoScalingGroupName"]
        for row in rehearsal().of_type(METRIC_ALARM)
        if "launch-failures" in row.name
    }
    # Without a load test there is no generator, and that is well.
    groups = [one for one in rehearsal().of_type("aws:autoscaling/group:Group") if role_of(one) != "generator"]
    assert len(watched) == len(groups) == 6
    assert all("GroupInServiceInstances" in group.inputs["enabledMetrics"] for group in groups)
    # An indexer that runs at set times has no instance between them.
    batch = changed(indexing='{"mode": "batch"}').of_type(METRIC_ALARM)
    assert not any("launch-failures-indexer" in row.name for row in batch)


def test_a_group_is_given_the_time_that_its_replacement_may_take() -> None:
    slow = changed(objectives='{"recoveryTimeSeconds": 1500}')
    for row in slow.of_type(METRIC_ALARM):
        if "launch-failures" in row.name:
            minutes = 25 if row.name[-1] in "ab" else 10
            assert (row.inputs["evaluationPeriods"], row.inputs["period"]) == (minutes, 60)
            assert f"for {minutes} minutes" in row.inputs["alarmDescription"]


def test_failed_copies_alarm_here_and_late_ones_in_the_vault() -> None:
    vaulted = changed(vault='{"region": "us-west-2"}', alerts='{"emails": ["a@example.com"]}')
    topics = {row.urn: row for row in vaulted.of_type("aws:sns/topic:Topic")}
    for alarm in vaulted.of_type(METRIC_ALARM):
        there = "replication-late" in alarm.name
        assert ("us-west-2" in alarm.provider) == there
        (topic,) = (topics[urn] for urn in alarm.dependencies if urn in topics)
        assert ("us-west-2" in topic.provider) == there
        if "replication" in alarm.name:
            # One failure is followed by silence, not by a second one.
            assert (alarm.inputs["datapointsToAlarm"], alarm.inputs["evaluationPeriods"]) == (1, 1)
    mails = vaulted.of_type("aws:sns/topicSubscription:TopicSubscription")
    assert ["us-west-2" in row.provider for row in mails] == [False, True]


def test_the_recall_that_alarms_is_the_index_types_own() -> None:
    for kind in ("hnsw", "pq"):
        recording = changed(index=json.dumps({"type": kind}))
        assert one(recording, METRIC_ALARM, "-recall").inputs["threshold"] == slo.RECALL[kind]
        board = one(recording, "aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"]
        (widget,) = (row for row in json.loads(board)["widgets"] if "Live searches" in row["properties"]["title"])
        assert widget["properties"]["annotations"]["horizontal"][0]["value"] == slo.RECALL[kind]


@pytest.mark.parametrize(
    ("indexing", "seconds"),
    [
        ({}, 30),
        ({"mode": "batch"}, 3600 + 45 * 60),
        ({"mode": "batch", "schedule": "0 */6 * * *", "batchMinutes": 30}, 24 * 3600 + 1800),
        ({"mode": "batch", "schedule": "0 3 * * 1"}, 7 * 86_400 + 2700),
        ({"mode": "batch", "schedule": "0 3 1 * 1"}, 31 * 86_400 + 2700),
        ({"mode": "batch", "schedule": "0 3 1 6 *"}, 366 * 86_400 + 2700),
    ],
)
def test_writes_may_wait_until_the_next_batch_has_ended(indexing: dict[str, object], seconds: int) -> None:
    recording = changed(indexing=json.dumps(indexing))
    alarm = one(recording, METRIC_ALARM, "index-lag").inputs
    assert alarm["threshold"] == seconds
    assert f"older than {seconds} s" in alarm["alarmDescription"]
    (fleet,) = (
        row for row in recording.of_type("aws:ssm/parameter:Parameter") if row.inputs["name"].endswith("/fleet")
    )
    assert json.loads(fleet.inputs["value"])["lag_seconds"] == seconds


def test_those_who_want_mail_get_it() -> None:
    found = changed(alerts='{"emails": ["a@example.com", "b@example.com"]}')
    rows = found.of_type("aws:sns/topicSubscription:TopicSubscription")
    assert [(row.inputs["protocol"], row.inputs["endpoint"]) for row in rows] == [
        ("email", "a@example.com"),
        ("email", "b@example.com"),
    ]


def test_a_budget_warns_before_and_after() -> None:
    assert not rehearsal().of_type("aws:budgets/budget:Budget")
    budget = one(changed(monthlyBudgetUsd="1200"), "aws:budgets/budget:Budget").inputs
    assert (budget["limitAmount"], budget["timeUnit"]) == ("1200", "MONTHLY")
    assert [(row["notificationType"], row["threshold"]) for row in budget["notifications"]] == [
        ("ACTUAL", 80),
        ("FORECASTED", 100),
    ]


def test_the_dashboard_shows_every_alarm_with_its_line() -> None:
    vaulted = changed(vault='{"region": "us-west-2"}')
    board = json.loads(one(vaulted, "aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    *alarming, seconds, positions = board["widgets"]
    lines = [row["properties"]["annotations"]["horizontal"][0]["value"] for row in alarming]
    # Launches of all groups share a graph, and so do copies that fail and those that are late.
    assert lines == [*(alarm.threshold for alarm in TABLE), 1, FLEET[0].threshold, 0, 900]
    assert len({(row["x"], row["y"]) for row in board["widgets"]}) == len(TABLE) + 6
    # Below the alarms how far each shard lags.
    by_shard = [[metric[:-1] for metric in row["properties"]["metrics"]] for row in (seconds, positions)]
    ours = ["Fleet", "rehearsal", "Slot", "blue", "Shard"]
    assert by_shard == [
        [["vectorfleet", metric, *ours, str(shard)] for shard in range(2)] for metric in ("LagSeconds", "LagPositions")
    ]
    shown = {
        (metric[1], *metric[2:-1], metric[-1].get("region", "us-east-1"))
        for widget in board["widgets"]
        for metric in widget["properties"]["metrics"]
        if isinstance(metric[0], str)
    }
    for alarm in vaulted.of_type(METRIC_ALARM):
        region = "us-west-2" if "us-west-2" in alarm.provider else "us-east-1"
        queries = [row["metric"] for row in alarm.inputs.get("metricQueries", ()) if "metric" in row]
        for metric in queries or [alarm.inputs]:
            named = [word for pair in sorted(metric["dimensions"].items()) for word in pair]
            assert any(
                (row[0], row[-1]) == (metric["metricName"], region) and set(row[1:-1]) == set(named) for row in shown
            )
