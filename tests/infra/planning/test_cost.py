"""The monthly bill, compared with literal prices and with the resources of the program."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from infra.configuration.stack_file import own_values, stack_config
from infra.configuration.stack_settings import settings_from
from infra.facts.instance_types import Disk, candidates
from infra.facts.service_prices import disk_usd
from infra.planning import cost
from infra.planning.cost import Line
from infra.planning.plan import Plan, make_plan, plan_for
from infra.planning.workload import MeasuredCapacity, Services
from infra.review.recording import Recording
from tests.infra.workloads import SMALL
from tests.service.emitted import emitted

GIB = 2**30
ALL = Services(
    router_type="m7i.xlarge",
    endpoints=("a", "b", "c", "d"),
    public=True,
    vault=True,
    batch=True,
    alarm_period_seconds=10,
)


def bill(plan: Plan) -> dict[str, Line]:
    return {line.item: line for line in cost.lines({"blue": plan})}


def of(services: Services) -> dict[str, Line]:
    return bill(make_plan(replace(SMALL, services=services), candidates()))


def without_nulls(value: Any) -> Any:
    """Remove nulls, as a stack's outputs do."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


@cache
def recorded(stack: str) -> Recording:
    from infra.review.graph import graph

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the SDK itself, on the first use of a module
        return graph(stack)


def test_the_bill_is_the_sum_of_its_lines() -> None:
    lines = cost.lines({"blue": make_plan(SMALL, candidates())})
    assert cost.total(lines) == pytest.approx(sum(line.usd_per_month for line in lines))
    assert all(line.usd_per_month > 0 for line in lines)


def test_prices_of_a_plain_fleet() -> None:
    plain = {item: round(line.usd_per_month, 2) for item, line in of(Services()).items()}
    assert plain == {
        "cells": round(2 * 0.252 * 730, 2),
        "routers": round(2 * 0.1008 * 730, 2),
        "indexer": round(0.2016 * 730, 2),
        "cell disks": round(2 * 35 * 0.08, 2),
        "router and indexer disks": round(3 * 20 * 0.08, 2),
        "front load balancer": 16.43,
        "interface endpoints": round(5 * 3 * 0.01 * 730, 2),
        "S3, shard logs": 0.14,
        "S3, documents log": 0.01,
        "S3, snapshots": 0.83,
        "alarms": 3.10,
        "alarms of the fleet": 0.20,
        "detailed monitoring": 10.50,
        "custom metrics": 6.90,
        "keys": 2.00,
    }


def test_prices_of_a_fleet_with_everything() -> None:
    found = of(ALL)
    assert found["routers"].usd_per_month == pytest.approx(2 * 0.2016 * 730)
    assert found["public addresses"].usd_per_month == pytest.approx(3 * 0.005 * 730)
    assert found["interface endpoints"].usd_per_month == pytest.approx(4 * 3 * 0.01 * 730)
    assert found["keys"].usd_per_month == 4
    assert found["custom metrics"].usd_per_month == pytest.approx((18 + 2 + 3) * 0.30)
    assert found["metrics of replication"].usd_per_month == pytest.approx(3 * 4 * 0.30)
    assert "a batch takes fewer" in found["indexer"].quantity


def test_s3_is_priced_by_logs_and_generations() -> None:
    plan = make_plan(replace(SMALL, services=ALL), candidates())
    # A million rows of 1536 float32 and 490 bytes of text and ids; in a snapshot vectors twice, in logs text twice.
    logs = 10**6 * (1536 * 4 + 2 * 490)
    assert (plan.logs_bytes, plan.documents_bytes) == (logs - 10**6 * 490, 10**6 * 490)
    assert plan.generation_bytes == pytest.approx(10**6 * (2 * 1536 * 4 + 490 + 148.5), rel=0.001)
    gib = (logs + 3 * plan.generation_bytes) / GIB
    found = bill(plan)
    logs_usd = found["S3, shard logs"].usd_per_month + found["S3, documents log"].usd_per_month
    assert logs_usd == pytest.approx(logs / GIB * 0.023)
    assert found["S3, snapshots"].usd_per_month == pytest.approx(3 * plan.generation_bytes / GIB * 0.023)
    assert found["S3, snapshots"].quantity == (
        "3 generations of 12.0 GiB; none is ever deleted, and each further one costs 0.28 a month"
    )
    assert found["vault, S3"].usd_per_month == pytest.approx(gib * 0.023)
    assert found["vault, replication"].usd_per_month == pytest.approx(gib * (0.02 + 0.015))


@pytest.mark.parametrize(
    ("index", "at_least", "below"), [("flat", 0, 7), ("hnsw", 12, 13), ("ivf", 12, 13), ("pq", 6, 8)]
)
def test_s3_follows_the_index(index: str, at_least: float, below: float) -> None:
    plan = make_plan(replace(SMALL, index=index), candidates())  # type: ignore[arg-type]
    assert at_least <= plan.generation_bytes / 1e9 < below


def test_disks_are_priced_by_size_and_extra_performance() -> None:
    assert disk_usd(Disk(100, 125, 3000)) == pytest.approx(8.00)
    assert disk_usd(Disk(100, 225, 3000)) == pytest.approx(12.00)
    assert disk_usd(Disk(100, 1000, 4000)) == pytest.approx(8 + 875 * 0.04 + 1000 * 0.005)


def test_a_tighter_recovery_time_pays_for_disk_throughput() -> None:
    def disks(seconds: int) -> float:
        plan = make_plan(replace(SMALL, recovery_time_seconds=seconds), candidates(["r6i.4xlarge"]))
        return bill(plan)["cell disks"].usd_per_month

    assert disks(280) > disks(900)


def test_alarms_below_a_minute_cost_three_times_as_much() -> None:
    slow, fast = of(Services()), of(Services(alarm_period_seconds=30))
    assert slow["alarms"].quantity == fast["alarms"].quantity == "31 metrics"
    # 19 of the table's 27 metrics are watched in the stack's period; groups have their own.
    assert fast["alarms"].usd_per_month - slow["alarms"].usd_per_month == pytest.approx(19 * 0.20)


def test_a_larger_router_type_is_priced() -> None:
    settings = settings_from(
        own_values(stack_config("rehearsal")) | {"capacityPerRouter": '{"queriesPerSecond": 500, "vcpus": 4}'}
    )
    plan = plan_for(settings.of("blue"))
    assert bill(plan)["routers"].quantity == "2 × m7i.xlarge"


@pytest.mark.parametrize("stack", ["small", "large", "rehearsal"])
def test_billed_resources_are_those_that_the_program_creates(stack: str) -> None:
    made = recorded(stack)
    plan = plan_for(settings_from(own_values(stack_config(stack))).of("blue"))
    found = bill(plan)
    zones = len(plan.workload.zones)
    endpoints = [
        one for one in made.of_type("aws:ec2/vpcEndpoint:VpcEndpoint") if one.inputs["vpcEndpointType"] != "Gateway"
    ]
    assert found["interface endpoints"].quantity == f"{len(endpoints)} × {zones} zones"
    assert found["keys"].quantity == str(len(made.of_type("aws:kms/key:Key")))
    alarms = made.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    queries = [[one for one in alarm.inputs.get("metricQueries", []) if "metric" in one] for alarm in alarms]
    billed = [int(line.quantity.split(" ")[0]) for item, line in found.items() if item.startswith("alarms")]
    assert sum(billed) == sum(len(one) or 1 for one in queries)
    rules = [
        rule
        for one in made.of_type("aws:s3/bucketReplicationConfig:BucketReplicationConfig")
        for rule in one.inputs["rules"]
    ]
    assert ("vault, S3" in found) == bool(rules)
    assert not rules or {rule["id"] for rule in rules} == set(cost.RULES)
    groups = made.of_type("aws:autoscaling/group:Group")
    generators = [group for group in groups if "generator" in group.name]
    assert plan.cells == len(groups) - len(generators) - 2
    assert made.outputs["slots"]["blue"]["instance_types"]["router"][0] in found["routers"].quantity
    assert made.outputs["plan"] == without_nulls(cost.described({"blue": plan}))


def test_billed_metrics_are_those_that_the_service_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = {(datum["MetricName"], len(datum["Dimensions"])) for datum in emitted(monkeypatch)}
    counts = Counter(dimensions for _, dimensions in sent)
    assert counts == {2: cost.SERVICE_METRICS, 3: cost.SHARD_METRICS}


def test_json_has_the_bill_by_line_with_what_it_rests_on() -> None:
    plan = make_plan(replace(SMALL, replica=MeasuredCapacity(300, 2)), candidates())
    plain: Any = cost.described({"blue": plan})["bill"]
    lines = [(line["item"], line["usd_per_month"]) for line in plain["lines"]]
    assert lines == [(line.item, round(line.usd_per_month, 2)) for line in cost.lines({"blue": plan})]
    assert plain["total_usd_per_month"] == round(cost.total(cost.lines({"blue": plan})), 2)
    assert (plain["currency"], plain["prices_as_of"], plain["prices_region"]) == ("USD", "2025-06-01", "us-east-1")
    assert "load generators are started by hand" in plain["not_included"]
