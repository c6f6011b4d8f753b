"""The table of kinds: consistent, and complete for the program."""

from __future__ import annotations

import boto3
import botocore.session
import pytest

from infra.review.graph import graph
from rehearsal.deployer.errors import DeployError, UnsupportedError
from rehearsal.deployer.kind import Kind
from rehearsal.deployer.resources import KINDS, kind_of
from rehearsal.deployer.translate import parameters

API = botocore.session.get_session()
BUCKET = KINDS["aws:s3/bucket:Bucket"]
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@kinds
def test_a_property_is_in_one_list(kind: Kind) -> None:
    known = kind.replaced_by | kind.updated_by
    assert not kind.replaced_by & kind.updated_by
    assert set(kind.defaults) | kind.sets | kind.digested | kind.veiled | kind.json_texts <= known
    assert kind.name_property is None or kind.name_property in kind.replaced_by


@kinds
def test_the_operations_of_a_kind_exist(kind: Kind) -> None:
    named = {kind.create_with, kind.read_with, kind.update_with, kind.delete_with} - {""}
    if kind.tagged and type(kind).retag is Kind.retag:
        named |= {kind.tagging.add, kind.tagging.remove}
    assert named <= set(API.get_service_model(kind.service).operation_names)


@pytest.mark.filterwarnings("ignore:.*has been deprecated:DeprecationWarning")
def test_everything_the_rehearsal_registers_is_known() -> None:
    registered = [r for r in graph("rehearsal").resources if r.type.startswith("aws:")]
    assert len(registered) > 60
    for resource in registered:
        kind_of(resource.type).check(dict(resource.inputs))


def test_an_unknown_type_or_property_is_named() -> None:
    with pytest.raises(UnsupportedError, match="aws:rds/instance:Instance"):
        kind_of("aws:rds/instance:Instance")
    with pytest.raises(UnsupportedError, match="property website"):
        BUCKET.check({"bucket": "b", "website": {}})


def test_automatic_names_follow_the_rules_of_the_kind() -> None:
    assert BUCKET.new_name("Documents").startswith("documents-")
    assert len(BUCKET.new_name("x" * 55)) == 63
    with pytest.raises(DeployError, match=r"64 letters.*allows 63"):
        BUCKET.new_name("x" * 56)


def test_nested_properties_are_checked_against_the_api() -> None:
    ec2 = boto3.client("ec2", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    disk = {"deviceName": "/dev/xvda", "ebs": {"encrypted": "true", "volumeSize": 20.0}}
    good = {"launchTemplateData": {"blockDeviceMappings": [disk], "tagSpecifications": [{"tags": {"a": "b"}}]}}
    data = parameters(ec2, "CreateLaunchTemplate", good)["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"] == {"Encrypted": True, "VolumeSize": 20}
    assert data["TagSpecifications"] == [{"Tags": [{"Key": "a", "Value": "b"}]}]
    bad = {"launchTemplateData": {"blockDeviceMappings": [disk | {"ebs": {"colour": "red"}}]}}
    with pytest.raises(UnsupportedError, match=r"property launchTemplateData\.blockDeviceMappings\.ebs\.colour"):
        parameters(ec2, "CreateLaunchTemplate", bad)
    wrong = {"launchTemplateData": {"blockDeviceMappings": [{"ebs": {"encrypted": "perhaps"}}]}}
    with pytest.raises(UnsupportedError, match=r"encrypted must be true or false"):
        parameters(ec2, "CreateLaunchTemplate", wrong)
