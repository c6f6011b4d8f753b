"""The table is consistent, and it knows everything that the program registers."""

from __future__ import annotations

import boto3
import pytest

from infra.graph import graph
from rehearsal.deploy.errors import DeployError, UnsupportedError
from rehearsal.deploy.kind import Kind
from rehearsal.deploy.launchtemplate import LaunchTemplate
from rehearsal.deploy.s3 import Bucket
from rehearsal.deploy.table import KINDS, kind_of
from rehearsal.deploy.translate import parameters

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@kinds
def test_a_property_has_one_meaning(kind: Kind) -> None:
    known = kind.replaced_by | kind.updated_by
    assert not kind.replaced_by & kind.updated_by
    assert set(kind.defaults) | kind.sets | kind.digested | kind.veiled | kind.json_texts <= known
    assert kind.name_property is None or kind.name_property in kind.replaced_by


@pytest.mark.filterwarnings("ignore:.*has been deprecated:DeprecationWarning")
def test_everything_the_rehearsal_registers_is_known() -> None:
    registered = [r for r in graph("rehearsal").resources if r.type.startswith("aws:")]
    assert len(registered) > 60
    for resource in registered:
        kind_of(resource.type).check(dict(resource.inputs))


def test_a_type_or_a_property_that_is_not_there_is_named() -> None:
    with pytest.raises(UnsupportedError, match="aws:rds/instance:Instance"):
        kind_of("aws:rds/instance:Instance")
    with pytest.raises(UnsupportedError, match="property website"):
        Bucket().check({"bucket": "b", "website": {}})


def test_automatic_names_are_lowered_where_they_must_be_and_too_long_ones_refused() -> None:
    assert Bucket().new_name("Documents").startswith("documents-")
    assert len(Bucket().new_name("x" * 55)) == 63
    with pytest.raises(DeployError, match=r"64 letters.*allows 63"):
        Bucket().new_name("x" * 56)


def test_nested_properties_are_checked_against_the_api() -> None:
    ec2 = boto3.client("ec2", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    disk = {"deviceName": "/dev/xvda", "ebs": {"encrypted": "true", "volumeSize": 20.0}}
    good = {"launchTemplateData": {"blockDeviceMappings": [disk], "tagSpecifications": [{"tags": {"a": "b"}}]}}
    data = parameters(ec2, "CreateLaunchTemplate", good, LaunchTemplate.renames)["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"] == {"Encrypted": True, "VolumeSize": 20}
    assert data["TagSpecifications"] == [{"Tags": [{"Key": "a", "Value": "b"}]}]
    bad = {"launchTemplateData": {"blockDeviceMappings": [disk | {"ebs": {"colour": "red"}}]}}
    with pytest.raises(UnsupportedError, match=r"property launchTemplateData\.blockDeviceMappings\.ebs\.colour"):
        parameters(ec2, "CreateLaunchTemplate", bad)
    wrong = {"launchTemplateData": {"blockDeviceMappings": [{"ebs": {"encrypted": "perhaps"}}]}}
    with pytest.raises(UnsupportedError, match=r"encrypted must be true or false"):
        parameters(ec2, "CreateLaunchTemplate", wrong)
