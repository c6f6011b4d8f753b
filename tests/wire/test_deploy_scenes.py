"""Rules of the embedded deployer, one a test, on small programs against a real emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rehearsal import deployer
from tests.rehearsal.programs.project import client, inventory, real_project
from tests.wire.deploy_stage import Stage


@pytest.fixture(scope="module")
def endpoint(own_emulator: str) -> str:
    """Return the endpoint of an emulator for this module's programs only."""
    return own_emulator


@pytest.fixture
def connect(endpoint: str) -> Callable[[str], Any]:
    return client(endpoint)


def test_a_second_run_makes_no_write_call(stage: Stage) -> None:
    first = stage.up("network")
    second = stage.up("network")
    assert (first.created, second.created, second.unchanged, second.writes) == (4, 0, 4, 0)
    assert second.outputs == first.outputs


def test_replacement_creates_before_it_deletes(stage: Stage, connect: Callable[[str], Any]) -> None:
    old = stage.up("network").outputs["vpc"]
    summary = stage.up("network", cidr="127.90.0.0/16")
    assert (summary.replaced, summary.deleted, summary.created) == (4, 4, 0)
    assert summary.outputs["vpc"] != old
    assert [v["VpcId"] for v in connect("ec2").describe_vpcs()["Vpcs"]].count(old) == 0


def test_replacement_of_a_given_name_deletes_first(stage: Stage, connect: Callable[[str], Any]) -> None:
    stage.up("fixed_names", port=80)
    summary = stage.up("fixed_names", port=81)
    groups = connect("elbv2").describe_target_groups(Names=["targets"])["TargetGroups"]
    assert [group["Port"] for group in groups] == [81]
    assert summary.replaced == 1


def test_a_protected_resource_stays(stage: Stage) -> None:
    stage.up("guarded", present=True, protect=True)
    assert "kept: it is protected" in stage.refusal("guarded", present=False)
    with pytest.raises(deployer.DeployError, match="protected"):
        stage.destroy()
    assert stage.up("guarded", present=True, protect=True).unchanged == 2
    assert stage.up("guarded", present=True).writes == 0
    assert stage.up("guarded", present=False).deleted == 1


def test_a_retained_resource_leaves_the_state_only(stage: Stage, connect: Callable[[str], Any]) -> None:
    before = set(inventory(stage.endpoint)["list_buckets"])
    stage.up("guarded", present=True, retain=True)
    summary = stage.up("guarded", present=False)
    (bucket,) = set(inventory(stage.endpoint)["list_buckets"]) - before
    connect("s3").delete_bucket(Bucket=bucket)
    assert (summary.retained, summary.deleted) == (1, 0)


def test_ignored_changes_are_neither_applied_nor_undone(stage: Stage, connect: Callable[[str], Any]) -> None:
    stage.up("ignored", value="first", description="one")
    connect("ssm").put_parameter(Name="/playground/weight", Value="theirs", Overwrite=True)
    assert stage.up("ignored", value="second", description="one").writes == 0
    assert connect("ssm").get_parameter(Name="/playground/weight")["Parameter"]["Value"] == "theirs"


def test_lookups_read_and_own_nothing(stage: Stage, connect: Callable[[str], Any]) -> None:
    arn = connect("sns").create_topic(Name="theirs")["TopicArn"]
    summary = stage.up("looked_up", arn=arn)
    stage.destroy()
    connect("sns").delete_topic(TopicArn=arn)
    assert summary.outputs["name"] == "theirs"
    assert summary.outputs["account"] == "123456789012"
    assert "us-east-1a" in summary.outputs["zones"]
    assert summary.writes == 0


@pytest.mark.parametrize(
    ("scene", "named"),
    [
        ("unknown_type", "aws:sqs/queue:Queue queue: the type aws:sqs/queue:Queue is not in the deployer's table"),
        ("unknown_property", "topic: property firehoseSuccessFeedbackSampleRate is not in the deployer's table"),
        ("unknown_invoke", "function aws:ec2/getAmi:getAmi is unknown"),
        ("not_modelled", "aws:ssm/parameter:Parameter dimension: property value is not known"),
        ("raises", "the Pulumi program stopped at __main__.py:"),
    ],
)
def test_an_unsupported_request_is_named(stage: Stage, scene: str, named: str) -> None:
    assert named in stage.refusal(scene)


def test_a_refusal_of_the_program_is_reported_verbatim(stage: Stage) -> None:
    assert stage.refusal("refuses") == "configuration key depth is 7; allowed: up to 5"


def test_a_failure_is_one_sentence_and_loses_nothing(stage: Stage) -> None:
    message = stage.refusal("partly_refused")
    assert message.startswith("aws:ec2/vpc:Vpc bad: CreateVpc was refused: InvalidParameterValue")
    topics = inventory(stage.endpoint)["list_topics"]
    assert sorted(r["id"] for r in stage.state()["live"].values()) == topics
    assert "Traceback" not in stage.log()
    assert "never retrieved" not in stage.log()


def test_an_object_changes_with_its_content_only(stage: Stage, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("same")
    two.write_text("same")
    stage.up("object", file=str(one))
    assert stage.up("object", file=str(two)).writes == 0
    two.write_text("other")
    summary = stage.up("object", file=str(two), text="three")
    bucket, s3 = summary.outputs["bucket"], client(stage.endpoint)("s3")
    assert summary.updated == 2
    assert s3.get_object(Bucket=bucket, Key="file")["Body"].read() == b"other"
    assert s3.get_object(Bucket=bucket, Key="text")["Body"].read() == b"three"


def test_a_renamed_resource_is_kept_by_its_alias(stage: Stage) -> None:
    before = stage.up("renamed", now="old").outputs["arn"]
    summary = stage.up("renamed", now="new")
    assert (summary.outputs["arn"], summary.writes) == (before, 0)
    assert stage.up("renamed", now="new").unchanged == 1


def test_a_group_follows_the_template_version(stage: Stage, connect: Callable[[str], Any]) -> None:
    stage.up("group", machine="m7i.large")
    summary = stage.up("group", machine="m7i.xlarge", label="renamed")
    (group,) = connect("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[summary.outputs["group"]])[
        "AutoScalingGroups"
    ]
    assert (summary.updated, summary.replaced, summary.outputs["version"]) == (2, 0, 2)
    assert group["LaunchTemplate"]["Version"] == "2"
    assert {tag["Value"] for tag in group["Tags"]} == {"renamed"}


def test_a_vanished_resource_is_created_again(stage: Stage, connect: Callable[[str], Any]) -> None:
    vpc, ec2 = stage.up("network").outputs["vpc"], connect("ec2")
    (subnet,) = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    summary = stage.up("network")
    assert (summary.created, summary.unchanged, summary.deleted) == (1, 3, 0)


def test_ctrl_c_ends_the_apply_in_order(stage: Stage) -> None:
    def interrupt(step: deployer.Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.up("network", progress=interrupt)
    state = stage.state()
    assert state["announced"] == {}
    assert stage.up("network").unchanged == len(state["live"])


def test_a_missing_emulator_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(deployer.DeployError, match=r"nothing answers at http://127\.0\.0\.1:1; start"):
        Stage(tmp_path, "http://127.0.0.1:1").up("network")


def test_a_root_belongs_to_one_stack(stage: Stage, tmp_path: Path) -> None:
    stage.up("guarded")
    other = real_project(tmp_path / "other")
    with pytest.raises(deployer.DeployError, match="holds the stack playground/test, not vectorfleet/rehearsal"):
        deployer.up("rehearsal", stage.root, stage.endpoint, project=other)


def test_a_preview_only_reports(stage: Stage) -> None:
    assert stage.preview("network").created == 4
    stage.up("network")
    before, state = inventory(stage.endpoint), stage.state()
    summary = stage.preview("network", cidr="127.90.0.0/16")
    assert (summary.replaced, summary.writes) == (4, 0)
    assert (inventory(stage.endpoint), stage.state()["live"]) == (before, state["live"])
