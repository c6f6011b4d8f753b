"""Instance refreshes of a roll-out, by AWS's answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.operations.refreshes import AwsGroups, Proof, proof
from infra.operations.roll import Progress, RefreshError, View
from infra.stack.outputs import Stack
from tests.stack_outputs import a_stack

BEGUN = datetime(2026, 11, 24, 12, tzinfo=UTC)
STACK = a_stack()


class Aws:
    """All three APIs at once, with answers that a test may change."""

    def __init__(self) -> None:
        self.group: dict[str, Any] = {
            "MixedInstancesPolicy": {
                "InstancesDistribution": {"OnDemandAllocationStrategy": "prioritized"},
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": "lt-1",
                        "LaunchTemplateName": "cell",
                        "Version": "1",
                    },
                    "Overrides": [{"InstanceType": "r6i.large"}],
                },
            },
            "Instances": [instance("i-1", "InService", "1")],
        }
        self.groups = [self.group]
        self.refresh: dict[str, Any] = {"InstanceRefreshId": "r-1", "Status": "InProgress", "StartTime": BEGUN}
        self.activities: list[dict[str, Any]] = []
        self.started: dict[str, Any] = {}
        self.alarms = [{"Period": 60, "EvaluationPeriods": 3}]
        self.refusal = ""
        self.targets: dict[str, dict[str, str]] = {}

    def describe_auto_scaling_groups(self, **asked: Any) -> dict[str, Any]:
        return {"AutoScalingGroups": self.groups}

    def describe_launch_templates(self, **asked: Any) -> dict[str, Any]:
        return {"LaunchTemplates": [{"LatestVersionNumber": 2}]}

    def describe_launch_template_versions(self, **asked: Any) -> dict[str, Any]:
        return {"LaunchTemplateVersions": [{"LaunchTemplateData": {"InstanceType": "r6i.large"}}]}

    def describe_instance_refreshes(self, **asked: Any) -> dict[str, Any]:
        return {"InstanceRefreshes": [self.refresh]}

    def describe_scaling_activities(self, **asked: Any) -> dict[str, Any]:
        return {"Activities": self.activities}

    def describe_alarms(self, **asked: Any) -> dict[str, Any]:
        return {"MetricAlarms": self.alarms}

    def start_instance_refresh(self, **asked: Any) -> dict[str, Any]:
        self.started = asked
        return {"InstanceRefreshId": "r-2"}

    def describe_target_health(self, **asked: Any) -> dict[str, Any]:
        states = self.targets[asked["TargetGroupArn"]]
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": name}, "TargetHealth": {"State": state}} for name, state in states.items()
            ]
        }

    def rollback_instance_refresh(self, **asked: Any) -> None:
        if self.refusal:
            raise ClientError({"Error": {"Code": self.refusal, "Message": "no"}}, "RollbackInstanceRefresh")


def instance(name: str, state: str, version: str) -> dict[str, Any]:
    return {"InstanceId": name, "LifecycleState": state, "LaunchTemplate": {"Version": version}}


def launch(status: str, seconds: int) -> dict[str, Any]:
    return {
        "Description": "Launching a new EC2 instance: i-2",
        "StatusCode": status,
        "StatusMessage": f"{status} at {seconds}",
        "StartTime": BEGUN + timedelta(seconds=seconds),
    }


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws()
    monkeypatch.setattr(Stack, "aws", lambda stack, service: made)
    return made


@pytest.fixture
def groups(aws: Aws) -> AwsGroups:
    return AwsGroups(STACK, alarm="p95", proof=Proof(180, 240))


def test_an_instance_that_is_on_its_way_out_does_not_count(aws: Aws, groups: AwsGroups) -> None:
    aws.group["Instances"].append(instance("i-2", "Pending:Wait", "2"))
    assert groups.view("cell") == View("1", "2", {"i-1": "1", "i-2": "2"}, ("r6i.large",))
    aws.group["Instances"][0]["LifecycleState"] = "Terminating:Wait"
    assert groups.view("cell").running == {"i-2": "2"}


@pytest.mark.parametrize("status", ["Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"])
def test_a_refresh_that_is_not_over_is_found(aws: Aws, groups: AwsGroups, status: str) -> None:
    aws.refresh["Status"] = status
    assert groups.running("cell") == "r-1"


@pytest.mark.parametrize("status", ["Successful", "Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed"])
def test_a_refresh_that_is_over_is_none(aws: Aws, groups: AwsGroups, status: str) -> None:
    aws.refresh["Status"] = status
    assert groups.running("cell") is None


def test_a_refresh_launches_first_and_rolls_back_on_alarm(aws: Aws, groups: AwsGroups) -> None:
    assert groups.start("cell", "2", ("r6i.large", "r7i.large")) == "r-2"
    assert aws.started["DesiredConfiguration"]["MixedInstancesPolicy"] == {
        "InstancesDistribution": {"OnDemandAllocationStrategy": "prioritized"},
        "LaunchTemplate": {
            # AWS refuses an id beside a name.
            "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "2"},
            "Overrides": [{"InstanceType": "r6i.large"}, {"InstanceType": "r7i.large"}],
        },
    }
    assert aws.started["Preferences"] == {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 200,
        "InstanceWarmup": 180,
        "BakeTime": 240,
        "SkipMatching": True,
        "AutoRollback": True,
        "AlarmSpecification": {"Alarms": ["p95"]},
    }


def test_older_outputs_do_not_restore_old_types(aws: Aws, groups: AwsGroups) -> None:
    with pytest.raises(RefreshError, match=r"The outputs say r7i\.large, version 2 .* says r6i\.large"):
        groups.start("cell", "2", ("r7i.large", "r6i.large"))
    assert aws.started == {}


def test_only_a_failed_launch_of_this_refresh_is_trouble(aws: Aws, groups: AwsGroups) -> None:
    aws.activities = [launch("MidLifecycleAction", 9), launch("Successful", 8), launch("Failed", -5)]
    assert groups.progress("cell", "r-1") == Progress("InProgress", 0)
    aws.activities = [launch("Failed", 9), launch("Cancelled", 5)]
    assert groups.progress("cell", "r-1").trouble == "a launch failed: Cancelled at 5"


def test_the_reason_of_a_rollback_is_why_it_began(aws: Aws, groups: AwsGroups) -> None:
    aws.refresh |= {
        "Status": "RollbackSuccessful",
        "StatusReason": "done",
        "RollbackDetails": {"RollbackReason": "p95"},
    }
    assert groups.progress("cell", "r-1").reason == "p95"


def test_a_refresh_that_ended_meanwhile_needs_no_rollback(aws: Aws, groups: AwsGroups) -> None:
    aws.refusal = "ActiveInstanceRefreshNotFound"
    groups.roll_back("cell")
    aws.refusal = "IrreversibleInstanceRefresh"
    with pytest.raises(ClientError, match="IrreversibleInstanceRefresh"):
        groups.roll_back("cell")


def test_a_group_that_is_gone_or_has_no_policy_is_a_sentence(aws: Aws, groups: AwsGroups) -> None:
    del aws.group["MixedInstancesPolicy"]
    with pytest.raises(RefreshError, match="no mixed instances policy"):
        groups.view("cell")
    aws.groups = []
    with pytest.raises(RefreshError, match="There is no Auto Scaling group cell"):
        groups.view("cell")


def test_a_group_serves_if_all_its_targets_are_healthy(aws: Aws, groups: AwsGroups) -> None:
    assert groups.is_serving("cell")
    aws.group["TargetGroupARNs"] = ["blue"]
    aws.group["Instances"] += [instance("i-2", "Terminating:Wait", "1")]
    for states, serving in (({"i-1": "healthy", "i-2": "draining"}, True), ({"i-1": "initial"}, False), ({}, False)):
        aws.targets = {"blue": states}
        assert groups.is_serving("cell") == serving


def test_a_version_is_watched_beside_the_old_then_alone(aws: Aws) -> None:
    assert proof(STACK, "p95") == Proof(warmup_seconds=180, bake_seconds=240)
    aws.alarms = []
    with pytest.raises(RefreshError, match="There is no alarm p95"):
        proof(STACK, "p95")
