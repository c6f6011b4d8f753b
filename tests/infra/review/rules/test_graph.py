"""The graph that rules ask: references by URN, and what is not there is nothing."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.review.graph import synthetic
from infra.review.recording import record
from infra.review.rules import tokens
from infra.review.rules.graph import LONGEST_REFERENCE, Graph, Resource, of_recording
from tests.infra.review.rules.cases import made


def recorded(program: object) -> Graph:
    assert callable(program)
    recording = record(program, {"aws:region": "us-east-1"}, project="p", stack="s", model=synthetic)
    return of_recording(recording, synthetic)


def named(graph: Graph, type_: str, name: str) -> Resource:
    (found,) = (one for one in graph.of_type(type_) if one.name == name)
    return found


def test_a_reference_is_known_by_id_arn_or_inside_a_policy() -> None:
    def program() -> None:
        data, logs = aws.s3.Bucket("data"), aws.s3.Bucket("logs")
        aws.s3.BucketLogging("data", bucket=data.id, target_bucket=logs.id, target_prefix="data/")
        aws.s3.BucketPolicy("data", bucket=data.id, policy=data.arn.apply(lambda arn: json.dumps({"Resource": [arn]})))

    graph = recorded(program)
    data, logs = named(graph, tokens.BUCKET, "data"), named(graph, tokens.BUCKET, "logs")
    (logging,) = graph.referring(data, tokens.BUCKET_LOGGING, "bucket")
    assert graph.targets(logging, "targetBucket", tokens.BUCKET) == [logs]
    assert graph.referring(logs, tokens.BUCKET_LOGGING, "bucket") == []
    assert len(graph.referring(data, tokens.BUCKET_POLICY, "policy")) == 1


def test_a_reference_is_known_through_one_that_passes_it_on() -> None:
    def program() -> None:
        data, logs = aws.s3.Bucket("data"), aws.s3.Bucket("logs")
        guard = aws.s3.BucketPolicy("logs", bucket=logs.id, policy="{}")
        aws.s3.BucketLogging("data", bucket=data.id, target_bucket=guard.bucket, target_prefix="data/")

    graph = recorded(program)
    (logging,) = graph.of_type(tokens.BUCKET_LOGGING)
    assert graph.targets(logging, "targetBucket", tokens.BUCKET) == [named(graph, tokens.BUCKET, "logs")]


def test_the_engine_names_only_the_one_that_passes_it_on() -> None:
    logs, other = made(tokens.BUCKET, name="logs"), made(tokens.BUCKET, name="other")
    guard = made(tokens.BUCKET_POLICY, bucket=logs)
    logging = made(tokens.BUCKET_LOGGING, bucket=other, targetBucket=guard)
    graph = Graph((logs, other, guard, logging))
    assert graph.targets(logging, "targetBucket", tokens.BUCKET) == [logs]
    assert graph.referring(logs, tokens.BUCKET_LOGGING, "targetBucket") == [logging]
    assert graph.referring(other, tokens.BUCKET_LOGGING, "targetBucket") == []


def test_a_dependency_that_no_input_names_is_no_reference() -> None:
    def program() -> None:
        first = aws.s3.Bucket("first")
        aws.s3.Bucket("second", opts=pulumi.ResourceOptions(depends_on=[first]))

    assert all(not resource.references for resource in recorded(program).resources)


def test_a_name_that_begins_another_is_not_taken_for_it() -> None:
    def program() -> None:
        short, long = aws.s3.Bucket("data"), aws.s3.Bucket("data-more")
        aws.s3.BucketVersioning(
            "v",
            bucket=long.id,
            versioning_configuration={"status": "Enabled"},
            opts=pulumi.ResourceOptions(depends_on=[short]),
        )

    graph = recorded(program)
    assert graph.referring(named(graph, tokens.BUCKET, "data"), tokens.BUCKET_VERSIONING, "bucket") == []
    assert len(graph.referring(named(graph, tokens.BUCKET, "data-more"), tokens.BUCKET_VERSIONING, "bucket")) == 1


def test_user_data_and_other_long_texts_are_not_searched() -> None:
    def program() -> None:
        data = aws.s3.Bucket("data")
        aws.s3.BucketObjectv2("o", bucket=data.id, key="k", content=data.id.apply(lambda id_: id_ * LONGEST_REFERENCE))

    (row,) = recorded(program).of_type(tokens.BUCKET_OBJECT)
    assert row.references.keys() == {"bucket"}


def test_options_come_along_and_components_do_not() -> None:
    def program() -> None:
        pulumi.ComponentResource("p:m:Component", "c")
        aws.s3.Bucket("data", opts=pulumi.ResourceOptions(protect=True, retain_on_delete=True))

    (bucket,) = recorded(program).resources
    assert (bucket.protect, bucket.retain_on_delete) == (True, True)


def test_a_path_that_ends_early_leads_to_nothing() -> None:
    resource = made(tokens.BUCKET, {"rule": {"mode": "on"}, "list": [1, 2], "text": "a"})
    assert resource.at("rule", "mode", "more") is resource.at("other") is None
    assert (resource.each("list"), resource.each("text"), resource.each("other")) == ([1, 2], ["a"], [])


def test_a_tag_is_found_in_a_map_and_in_a_groups_list() -> None:
    assert made(tokens.BUCKET, {"tags": {"a": "1"}}).tag("a") == "1"
    assert made(tokens.GROUP, {"tags": [{"key": "a", "value": "1"}]}).tag("a") == "1"
    assert made(tokens.GROUP).tag("a") == made(tokens.BUCKET, {"tags": {}}).tag("a") == ""
