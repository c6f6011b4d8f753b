"""Names within AWS's limits for every fleet name."""

from __future__ import annotations

import doctest
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.configuration.stack_file import stack_config
from infra.facts import naming
from infra.program import deploy
from infra.review.graph import synthetic
from infra.review.recording import RecordedResource, Recording, output_names, record

FLEETS = st.text("abcxyz019-", min_size=1, max_size=80).map(lambda middle: f"f{middle}0")
AUTONAME = "-0a1b2c3"

# Longest names by AWS's own documentation, and the input that sets one; where it is not given, Pulumi makes a name.
LONGEST = {
    "aws:autoscaling/group:Group": ("name", 255),
    "aws:autoscaling/policy:Policy": ("name", 255),
    "aws:autoscaling/schedule:Schedule": ("scheduledActionName", 255),
    "aws:budgets/budget:Budget": ("name", 100),
    "aws:cloudwatch/dashboard:Dashboard": ("dashboardName", 255),
    "aws:cloudwatch/logGroup:LogGroup": ("name", 512),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("name", 255),
    "aws:ec2/launchTemplate:LaunchTemplate": ("name", 128),
    "aws:ec2/securityGroup:SecurityGroup": ("name", 255),
    "aws:iam/instanceProfile:InstanceProfile": ("name", 128),
    "aws:iam/role:Role": ("name", 64),
    "aws:iam/rolePolicy:RolePolicy": ("name", 128),
    "aws:kms/alias:Alias": ("name", 256),
    "aws:lb/loadBalancer:LoadBalancer": ("name", 32),
    "aws:lb/targetGroup:TargetGroup": ("name", 32),
    "aws:s3/bucket:Bucket": ("bucket", 63),
    "aws:sns/topic:Topic": ("name", 256),
    "aws:ssm/parameter:Parameter": ("name", 1011),
}
NAMELESS = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"  # AWS gave it its name


def longest() -> Recording:
    """Record a fleet with the longest name, in the regions with the longest names, with every resource."""
    here, there = "ap-southeast-1", "ap-southeast-2"
    given = {
        "fleet": "f" * 20,
        "zones": [f"{here}{zone}" for zone in "abc"],
        "slots": '{"green": {}}',
        "weights": {"blue": 0, "green": 100},
        "vault": {"region": there, "retentionDays": 35, "mode": "governance"},
        "indexing": {"mode": "batch"},
        "monthlyBudgetUsd": 1000,
    }
    own = {f"vectorfleet:{key}": one if isinstance(one, str) else json.dumps(one) for key, one in given.items()}
    config = stack_config("rehearsal") | {"aws:region": here} | own
    return record(deploy, config, project="vectorfleet", stack="test", model=synthetic)


def physical(resource: RecordedResource, key: str) -> str:
    """Return the name that AWS gets."""
    return str(resource.inputs.get(key) or resource.name + AUTONAME)


def test_the_worked_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(naming).failed == 0


def test_the_limits_are_those_of_aws() -> None:
    assert naming.LIMITS == {
        "load_balancer": 32,
        "target_group": 32,
        "bucket": 63,
        "role": 64,
        "launch_template": 128,
        "instance_profile": 128,
        "group": 255,
        "security_group": 255,
        "topic": 256,
        "alarm": 255,
        "dashboard": 255,
        "parameter": 1011,
    }
    assert len(AUTONAME) == naming.AUTONAME_SUFFIX


def test_every_physical_name_of_the_longest_fleet_fits() -> None:
    recording = longest()
    found = [
        (row.type, name, limit)
        for row in recording.resources
        for key, limit in [LONGEST.get(row.type, ("", 0))]
        if key and len(name := physical(row, key)) > limit
    ]
    assert found == []
    named = {row.type for row in recording.resources if row.custom and "name" in output_names(row.type)}
    assert named - {NAMELESS} <= LONGEST.keys()
    assert LONGEST.keys() <= {row.type for row in recording.resources}


def test_a_cut_name_ends_in_six_digits_of_a_digest_of_all_of_it() -> None:
    assert naming.fit("a-very-long-name-indeed", 16) == "a-very-lo-5aae9f"
    assert len({naming.fit(f"{'f' * 80}{number}", 32) for number in range(1000)}) == 1000


@example("f" * 80, "load_balancer")
@given(FLEETS, st.sampled_from(sorted(naming.LIMITS)))
def test_a_physical_name_fits_its_limit(fleet: str, kind: str) -> None:
    name = naming.logical(kind, fleet, "documents")
    assert len(name + AUTONAME) <= naming.LIMITS[kind]
    assert not name.endswith("-")


@example("f" * 80)
@given(FLEETS)
def test_cut_names_of_two_things_stay_apart(fleet: str) -> None:
    names = {naming.logical("target_group", fleet, slot) for slot in ("blue", "green")}
    assert len(names) == 2


@example("f" * 80)
@given(FLEETS)
def test_an_alarm_fits(fleet: str) -> None:
    assert len(naming.alarm(fleet * 5, "green", "retrieval-p95")) <= naming.LIMITS["alarm"]


@pytest.mark.parametrize("key", ["storage", "embedding"])
def test_parameters_stand_below_the_fleets_prefix(key: str) -> None:
    assert naming.parameter("main", key) == f"{naming.parameters_prefix('main')}/{key}"
