"""Launch templates: every change is a new version of the same template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.ec2 import Ec2Kind
from rehearsal.deploy.kind import found, only
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

# Properties of the template itself; everything else is data of a version.
OF_TEMPLATE = frozenset({"name", "description", "tags", "tagsAll", "region", "updateDefaultVersion", "defaultVersion"})


class LaunchTemplate(Ec2Kind):
    """aws_launch_template."""

    token = "aws:ec2/launchTemplate:LaunchTemplate"
    tag_type = "launch-template"
    name_property = "name"
    name_limit = 125
    replaced_by = frozenset({"name"})
    updated_by = frozenset(
        {
            "blockDeviceMappings",
            "defaultVersion",
            "description",
            "disableApiStop",
            "disableApiTermination",
            "ebsOptimized",
            "iamInstanceProfile",
            "imageId",
            "instanceInitiatedShutdownBehavior",
            "instanceType",
            "keyName",
            "maintenanceOptions",
            "metadataOptions",
            "monitoring",
            "networkInterfaces",
            "placement",
            "privateDnsNameOptions",
            "tagSpecifications",
            "updateDefaultVersion",
            "userData",
            "vpcSecurityGroupIds",
        }
    )
    sets = frozenset({"vpcSecurityGroupIds"})
    identity: ClassVar[Mapping[str, str]] = {"name": "launch-template-name"}
    renames: ClassVar[Mapping[str, str]] = {
        "vpcSecurityGroupIds": "SecurityGroupIds",
        "networkInterfaces.securityGroups": "Groups",
        "placement.groupName": "GroupName",
    }

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        made = cloud.client("ec2").create_launch_template(
            LaunchTemplateName=inputs["name"],
            TagSpecifications=self.tag_specifications(inputs),
            **self._version(cloud, "CreateLaunchTemplate", inputs),
        )
        return self.id_of(made["LaunchTemplate"])

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        templates: list[dict[str, Any]] = cloud.client("ec2").describe_launch_templates(**query)["LaunchTemplates"]
        return templates

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["LaunchTemplateId"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        # The name is unique in a region; tag filters are not needed and moto does not give them back.
        templates = found(lambda: self.listed(cloud, LaunchTemplateNames=[inputs["name"]])) or []
        return [self.id_of(template) for template in templates]

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        template = only(found(lambda: self.listed(cloud, LaunchTemplateIds=[id_])) or [])
        return template and {
            "arn": cloud.arn("ec2", f"launch-template/{id_}"),
            "name": template["LaunchTemplateName"],
            "latestVersion": template["LatestVersionNumber"],
            "defaultVersion": template["DefaultVersionNumber"],
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("ec2")
        if changed - (OF_TEMPLATE - {"description"}):
            client.create_launch_template_version(
                LaunchTemplateId=old.id, **self._version(cloud, "CreateLaunchTemplateVersion", inputs)
            )
        wanted = self._default_version(cloud, old.id, inputs)
        if wanted is not None:
            client.modify_launch_template(LaunchTemplateId=old.id, DefaultVersion=str(wanted))
        self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("ec2").delete_launch_template(LaunchTemplateId=resource.id))

    def _default_version(self, cloud: Cloud, id_: str, inputs: Properties) -> int | None:
        """The version to make the default one, None when it is already."""
        template = only(self.listed(cloud, LaunchTemplateIds=[id_]))
        newest = template["LatestVersionNumber"] if inputs.get("updateDefaultVersion") else None
        wanted = inputs.get("defaultVersion", newest)
        return None if wanted in (None, template["DefaultVersionNumber"]) else int(wanted)

    def _version(self, cloud: Cloud, operation: str, inputs: Properties) -> dict[str, Any]:
        data = {key: value for key, value in inputs.items() if key not in OF_TEMPLATE}
        asked: Properties = {"launchTemplateData": data}
        if "description" in inputs:
            asked["versionDescription"] = inputs["description"]
        renames = {f"launchTemplateData.{path}": api for path, api in self.renames.items()}
        return parameters(cloud.client("ec2"), operation, asked, renames)


KINDS = (LaunchTemplate(),)
