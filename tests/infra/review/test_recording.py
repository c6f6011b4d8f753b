"""The recorder: kept resources and refused inputs."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pytest

from infra.review.recording import (
    STACK_TYPE,
    Model,
    Outputs,
    Recording,
    UnknownInputError,
    output_names,
    record,
)

CONFIG = {"aws:region": "us-east-1"}


def ids_only(type_: str, name: str, inputs: Outputs) -> Outputs:
    return {"id": f"{name}-id"}


def recorded(program: object, model: Model = ids_only) -> Recording:
    assert callable(program)
    return record(program, CONFIG, project="p", stack="s", model=model)


def test_inputs_are_camel_case_and_whole() -> None:
    def program() -> None:
        vpc = aws.ec2.Vpc("main", cidr_block="10.0.0.0/16", enable_dns_support=True)
        aws.ec2.Subnet("a", vpc_id=vpc.id, cidr_block="10.0.0.0/20", map_public_ip_on_launch=False)
        pulumi.export("vpc", vpc.id)

    recording = recorded(program)
    (subnet,) = recording.of_type("aws:ec2/subnet:Subnet")
    assert subnet.inputs == {"vpcId": "main-id", "cidrBlock": "10.0.0.0/20", "mapPublicIpOnLaunch": False}
    assert recording.outputs == {"vpc": "main-id"}


def test_options_are_kept() -> None:
    def program() -> None:
        first = aws.sns.Topic("first")
        options = pulumi.ResourceOptions(
            protect=True,
            retain_on_delete=True,
            depends_on=[first],
            ignore_changes=["display_name"],
            aliases=[pulumi.Alias(name="before")],
        )
        aws.sns.Topic("second", opts=options)

    first, second = recorded(program).of_type("aws:sns/topic:Topic")
    assert (second.protect, second.retain_on_delete) == (True, True)
    assert second.dependencies == (first.urn,)
    assert second.ignore_changes == ("displayName",)
    assert second.aliases == ("before",)


def test_a_child_knows_its_parent_and_who_has_none_the_stack() -> None:
    def program() -> None:
        component = pulumi.ComponentResource("p:m:Component", "c")
        aws.sns.Topic("inside", opts=pulumi.ResourceOptions(parent=component))
        aws.sns.Topic("outside")

    recording = recorded(program)
    (component,) = recording.of_type("p:m:Component")
    inside, outside = recording.of_type("aws:sns/topic:Topic")
    assert (inside.name, inside.parent, outside.name) == ("inside", component.urn, "outside")
    assert [one.parent.split("::")[2] for one in (component, outside)] == [STACK_TYPE] * 2


def test_aliases_are_kept_as_names_and_urns() -> None:
    urn = "urn:pulumi:s::p::aws:sns/topic:Topic::older"

    def program() -> None:
        moved = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="before"), urn])
        component = pulumi.ComponentResource("p:m:Component", "c", opts=moved)
        aws.sns.Topic("topic", opts=pulumi.ResourceOptions.merge(moved, pulumi.ResourceOptions(parent=component)))
        aws.sns.Topic("plain")

    recording = recorded(program)
    (component,) = recording.of_type("p:m:Component")
    topic, plain = recording.of_type("aws:sns/topic:Topic")
    assert component.aliases == topic.aliases == ("before", urn)
    assert plain.aliases == ()


def test_an_output_the_model_lacks_is_refused_where_it_is_used() -> None:
    def program() -> None:
        topic = aws.sns.Topic("alerts")
        aws.cloudwatch.MetricAlarm("alarm", comparison_operator="x", evaluation_periods=1, alarm_actions=[topic.arn])

    with pytest.raises(UnknownInputError, match=r"MetricAlarm alarm: input alarmActions\[0\] depends on"):
        recorded(program)


def test_an_unknown_inside_a_text_is_refused_too() -> None:
    def program() -> None:
        bucket = aws.s3.Bucket("data")
        pulumi.export("name", pulumi.Output.concat("s3://", bucket.arn))

    with pytest.raises(UnknownInputError, match="stack output name"):
        recorded(program)


def test_an_unused_unknown_is_no_matter() -> None:
    assert len(recorded(lambda: aws.s3.Bucket("data")).resources) == 1


def test_two_resources_of_one_name_are_refused() -> None:
    def program() -> None:
        aws.sns.Topic("alerts")
        aws.sns.Topic("alerts")

    with pytest.raises(ValueError, match="two resources have the URN"):
        recorded(program)


def test_one_run_leaves_nothing_to_the_next() -> None:
    assert len(recorded(lambda: aws.sns.Topic("one")).resources) == 1
    (only,) = recorded(lambda: aws.sns.Topic("two")).resources
    assert only.name == "two"


def test_a_failure_of_the_program_comes_through() -> None:
    def program() -> None:
        raise KeyError("boom")

    with pytest.raises(KeyError, match="boom"):
        recorded(program)


def test_outputs_of_a_type_are_the_sdks() -> None:
    assert {"arn", "dnsName", "zoneId"} <= set(output_names("aws:lb/loadBalancer:LoadBalancer"))
