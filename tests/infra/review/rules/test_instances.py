"""The rules of infra.review.rules.instances, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, fine, made, wrong

TAGS = {"Name": "n", "vectorfleet:fleet": "f", "vectorfleet:role": "node", "vectorfleet:slot": "blue"}
KINDS = ("instance", "volume", "network-interface")


def template(**inputs: Any) -> Resource:
    return made(tokens.TEMPLATE, inputs)


def disk(kind: str, encrypted: object) -> Resource:
    ebs = {"volumeType": kind, "encrypted": encrypted}
    return template(blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": ebs}])


def tagged(*kinds: str, tags: dict[str, str] = TAGS) -> Resource:
    return template(tagSpecifications=[{"resourceType": kind, "tags": tags} for kind in kinds])


def hops(limit: int) -> Resource:
    return template(metadataOptions={"httpPutResponseHopLimit": limit})


CASES = (
    fine("instance-imdsv2", "required", template(metadataOptions={"httpTokens": "required"})),
    wrong("instance-imdsv2", "optional", template(metadataOptions={"httpTokens": "optional"}), says="is optional"),
    wrong("instance-imdsv2", "left to the default", template(), says="is nothing"),
    fine("instance-hop-limit", "one", hops(1)),
    wrong("instance-hop-limit", "two", hops(2), says="is 2"),
    fine("instance-disks", "gp3, encrypted", disk("gp3", "true")),
    wrong("instance-disks", "gp2", disk("gp2", "true"), says="disk /dev/xvda is gp2"),
    wrong("instance-disks", "in clear", disk("gp3", "false"), says="encrypted: false"),
    wrong("instance-disks", "the image's", template(), says="no disk is described"),
    fine("instance-monitoring", "on", template(monitoring={"enabled": True})),
    wrong("instance-monitoring", "off", template(), says="monitoring is off"),
    fine("instance-image", "pinned", template(imageId="ami-1")),
    wrong("instance-image", "resolved", template(imageId="resolve:ssm:/aws/al2023"), says="is resolve:ssm:/aws/al2023"),
    fine("instance-tags", "on all three", tagged(*KINDS)),
    wrong("instance-tags", "not on volumes", tagged("instance", "network-interface"), says="leaves the volume"),
    wrong("instance-tags", "not on interfaces", tagged("instance", "volume"), says="leaves the network-interface"),
    wrong(
        "instance-tags",
        "without the slot",
        template(
            tagSpecifications=[
                {"resourceType": "instance", "tags": TAGS},
                {"resourceType": "volume", "tags": {**TAGS, "vectorfleet:slot": ""}},
                {"resourceType": "network-interface", "tags": TAGS},
            ]
        ),
        says="the volume without vectorfleet:slot;",
    ),
    fine("instance-no-address", "private", template()),
    wrong(
        "instance-no-address",
        "public",
        template(networkInterfaces=[{"associatePublicIpAddress": "true"}]),
        says="gets a public address",
    ),
    fine("instance-in-group", "a template", template()),
    wrong("instance-in-group", "alone", made(tokens.INSTANCE), says="outside of a launch template"),
    wrong("instance-in-group", "a launch configuration", made(tokens.LAUNCH_CONFIGURATION), says="outside"),
    fine("disk-is-cache", "a template's disk", disk("gp3", "true")),
    wrong("disk-is-cache", "a volume", made(tokens.VOLUME), says="outlives its instance"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_instance_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
