"""A stack with two slots, recorded: what each slot has, what they share, and what a second slot leaves alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.configuration.stack_settings import ConfigError
from infra.review.graph import synthetic
from infra.review.recording import Recording
from infra.review.rules.graph import of_recording
from infra.review.rules.registry import RULES
from infra.review.rules.rule import findings
from tests.infra.graphs import changed, rehearsal, two_slots

GROUP = "aws:autoscaling/group:Group"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
PARAMETER = "aws:ssm/parameter:Parameter"


def by_name(recording: Recording) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one.type, one.name): one.inputs for one in recording.resources if one.custom}


def test_a_second_slot_changes_nothing_of_the_first() -> None:
    alone, both = by_name(rehearsal()), by_name(two_slots())
    assert [key for key, inputs in alone.items() if both.get(key) != inputs] == []
    added = {name for _, name in both.keys() - alone.keys()}
    assert {name for name in added if not name.startswith("rehearsal-green")} == set()


def test_a_slot_has_its_own_cells_routers_indexer_and_dashboard() -> None:
    names = {one.name for one in two_slots().of_type(GROUP) if "-green-" in one.name}
    cells = {f"rehearsal-green-node-{shard}-{replica}" for shard in range(4) for replica in "ab"}
    assert names == {*cells, "rehearsal-green-router", "rehearsal-green-indexer"}
    boards = {one.name for one in two_slots().of_type("aws:cloudwatch/dashboard:Dashboard")}
    assert boards == {"rehearsal-blue", "rehearsal-green"}


@pytest.mark.parametrize(
    "kind",
    ["aws:iam/role:Role", "aws:s3/bucket:Bucket", "aws:lb/loadBalancer:LoadBalancer", "aws:lb/targetGroup:TargetGroup"],
)
def test_slots_share_what_is_the_fleets(kind: str) -> None:
    assert len(two_slots().of_type(kind)) == len(rehearsal().of_type(kind))


def test_each_slots_alarms_watch_its_own_metrics() -> None:
    for alarm in two_slots().of_type(ALARM):
        scope = alarm.name.split("-")[1]
        queries = [row["metric"]["dimensions"] for row in alarm.inputs.get("metricQueries", ()) if "metric" in row]
        for dimensions in queries or [alarm.inputs["dimensions"]]:
            assert dimensions.get("Slot", scope) == scope
            assert f"-{scope}-" in dimensions.get("TargetGroup", f"-{scope}-")


def test_a_slot_with_keys_of_its_own_has_parameters_below_its_name() -> None:
    found = {one.inputs["name"]: one for one in two_slots().of_type(PARAMETER)}
    own = {
        name: json.loads(found[f"/vectorfleet/rehearsal/green/{name}"].inputs["value"]) for name in ("fleet", "index")
    }
    assert (own["fleet"]["shards"], own["fleet"]["until"], own["index"]["type"]) == (4, 1234, "ivf")
    assert json.loads(found["/vectorfleet/rehearsal/fleet"].inputs["value"])["shards"] == 2
    assert json.loads(found["/vectorfleet/rehearsal/recipe-green"].inputs["value"])["chunking"]["size"] == 500
    green = next(one for one in two_slots().of_type(GROUP) if one.name == "rehearsal-green-router")
    assert found["/vectorfleet/rehearsal/green/index"].urn in green.dependencies


def test_slots_without_keys_of_their_own_share_their_parameters() -> None:
    names = {one.inputs["name"] for one in changed(slots='{"blue": {}, "green": {}}').of_type(PARAMETER)}
    alone = {one.inputs["name"] for one in rehearsal().of_type(PARAMETER)}
    assert names - alone == {"/vectorfleet/rehearsal/recipe-green"}


def test_the_bill_has_lines_of_each_slot_and_shared_ones_once() -> None:
    lines = two_slots().outputs["plan"]["bill"]["lines"]
    items = {slot: [line["item"] for line in lines if line["slot"] == slot] for slot in ("blue", "green", "")}
    assert items["blue"] == items["green"]
    assert {"cells", "routers", "alarms"} <= set(items["green"])
    assert {"front load balancer", "S3, documents log", "keys"} <= set(items[""])
    assert len(lines) == sum(map(len, items.values()))
    total = two_slots().outputs["plan"]["bill"]["total_usd_per_month"]
    assert total == pytest.approx(sum(line["usd_per_month"] for line in lines), abs=0.01 * len(lines))


def test_the_rules_hold_with_two_slots() -> None:
    both, alone = (
        {(one.rule, one.name) for one in findings(of_recording(recording, synthetic), RULES)}
        for recording in (two_slots(), rehearsal())
    )
    # A second dashboard, target or group of the same make is accepted for the same reason.
    assert {rule for rule, _ in both} == {rule for rule, _ in alone}


def test_the_program_refuses_a_slots_value_by_its_path() -> None:
    with pytest.raises(ConfigError, match=r"vectorfleet:slots\.green\.index\.m"):
        changed(slots='{"blue": {}, "green": {"index": {"m": 99}}}')
