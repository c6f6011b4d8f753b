"""Rules for launch templates: metadata, disks, image, tags, address."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource, at
from infra.review.rules.rule import Check, Rule, is_on, said, shown

TAGGED = ("instance", "volume", "network-interface")
TAGS = ("Name", "vectorfleet:fleet", "vectorfleet:role", "vectorfleet:slot")


def _metadata(template: Resource, _: Graph) -> Iterator[str]:
    found = template.at("metadataOptions", "httpTokens")
    if found != "required":
        yield said(f"httpTokens is {shown(found)}", allowed="required", remedy="Require IMDSv2 in metadataOptions")


def _hop_limit(template: Resource, _: Graph) -> Iterator[str]:
    found = template.at("metadataOptions", "httpPutResponseHopLimit")
    if found != 1:
        yield said(
            f"httpPutResponseHopLimit is {shown(found)}", allowed="1", remedy="Set it: nothing here runs in containers"
        )


def _disks(template: Resource, _: Graph) -> Iterator[str]:
    disks = [one for one in template.each("blockDeviceMappings") if at(one, "ebs") is not None]
    if not disks:
        yield said(
            "no disk is described, so the image decides",
            allowed="an encrypted gp3 volume",
            remedy="Add blockDeviceMappings",
        )
    for disk in disks:
        kind, name = at(disk, "ebs", "volumeType"), shown(at(disk, "deviceName"))
        if kind != "gp3" or not is_on(at(disk, "ebs", "encrypted")):
            yield said(
                f"disk {name} is {shown(kind)}, encrypted: {shown(at(disk, 'ebs', 'encrypted'))}",
                allowed="gp3, encrypted: true",
                remedy="Change the mapping",
            )


def _monitoring(template: Resource, _: Graph) -> Iterator[str]:
    if not is_on(template.at("monitoring", "enabled")):
        yield said(
            "detailed monitoring is off", allowed="monitoring.enabled true", remedy="Set it: alarms need minutes"
        )


def _image(template: Resource, _: Graph) -> Iterator[str]:
    found = template.at("imageId")
    if not str(found or "").startswith("ami-"):
        yield said(
            f"imageId is {shown(found)}",
            allowed="the id of an image",
            remedy="Pin it: what resolves later can't be rolled back",
        )


def _tags(template: Resource, _: Graph) -> Iterator[str]:
    tags = {at(one, "resourceType"): at(one, "tags") for one in template.each("tagSpecifications")}
    for kind in TAGGED:
        missing = [tag for tag in TAGS if not at(tags.get(kind), tag)]
        if missing:
            yield said(
                f"a launch leaves the {kind} without {', '.join(missing)}",
                allowed=f"{', '.join(TAGS)} on {', '.join(TAGGED)}",
                remedy="Add tagSpecifications: a provider's default tags reach none of them",
            )


def _no_address(template: Resource, _: Graph) -> Iterator[str]:
    if any(is_on(at(one, "associatePublicIpAddress")) for one in template.each("networkInterfaces")):
        yield said(
            "an interface gets a public address",
            allowed="private addresses",
            remedy="Take associatePublicIpAddress out",
        )


def _alone(instance: Resource, _: Graph) -> Iterator[str]:
    yield said(
        "it is launched outside of a launch template",
        allowed="a LaunchTemplate and a Group",
        remedy="Put it into a group: nothing replaces an instance that stands alone, and no rule sees it",
    )


def _volume(volume: Resource, _: Graph) -> Iterator[str]:
    yield said(
        "a volume outlives its instance",
        allowed="disks that a launch template makes and a termination deletes",
        remedy="Keep state in S3: a disk is a cache and in no backup plan",
    )


def _template(id_: str, demand: str, check: Check, *sources: str) -> Rule:
    return Rule(id=id_, demand=demand, types=(tokens.TEMPLATE,), check=check, sources=sources)


RULES = (
    _template("instance-imdsv2", "IMDSv2 is required", _metadata, "EC2IMDSv2Enabled", "CKV_AWS_79"),
    _template("instance-hop-limit", "metadata is one hop away", _hop_limit, "CKV_AWS_341"),
    _template("instance-disks", "every disk is gp3 and encrypted", _disks, "AwsSolutions-EC26", "CKV_AWS_8"),
    _template("instance-monitoring", "detailed monitoring is on", _monitoring, "AwsSolutions-EC28", "CKV_AWS_126"),
    _template("instance-image", "the image is pinned by its id", _image),
    _template("instance-tags", "instance, volume and interface carry name, fleet, role and slot", _tags, "CKV_AWS_153"),
    _template("instance-no-address", "no instance has a public address", _no_address, "CKV_AWS_88"),
    Rule(
        id="instance-in-group",
        demand="every instance belongs to a group and comes from a launch template",
        types=(tokens.INSTANCE, tokens.LAUNCH_CONFIGURATION),
        check=_alone,
        sources=("CKV_AWS_315",),
    ),
    Rule(
        id="disk-is-cache",
        demand="no volume outlives its instance: a disk is a cache of S3 and needs no backup plan",
        types=(tokens.VOLUME,),
        check=_volume,
        sources=("EC2EBSInBackupPlan",),
    ),
)
