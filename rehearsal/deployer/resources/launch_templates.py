"""Launch templates of EC2."""

from __future__ import annotations

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.kind import found, names
from rehearsal.deployer.resources.ec2 import Ec2Kind, ec2_kind
from rehearsal.deployer.state import Properties, Resource

# Properties of the template itself. All others are data of a version.
OF_TEMPLATE = names("name description updateDefaultVersion defaultVersion")


class LaunchTemplate(Ec2Kind):
    """aws_launch_template, of which every change is a new version."""

    def shaped(self, properties: Properties) -> Properties:
        data = {key: value for key, value in properties.items() if key not in OF_TEMPLATE}
        named = {key: value for key, value in properties.items() if key in ("name", "description")}
        return {"launchTemplateData": data, **named}

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        # The name is unique in a region, and moto does not return the tags.
        named = {"LaunchTemplateNames": [inputs["name"]]}
        listed = found(lambda: cloud.call("ec2", self.read_with, **named)["LaunchTemplates"]) or []
        return [str(template["LaunchTemplateId"]) for template in listed]

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if changed - (OF_TEMPLATE - {"description"}):
            version = self.request(cloud, self.update_with, {k: v for k, v in inputs.items() if k != "name"})
            cloud.call("ec2", self.update_with, LaunchTemplateId=old.id, **version)
        template = self.describe(cloud, old.id, inputs)
        newest = template["LatestVersionNumber"] if inputs.get("updateDefaultVersion") else None
        wanted = inputs.get("defaultVersion", newest)
        if wanted not in (None, template["DefaultVersionNumber"]):
            cloud.call("ec2", "ModifyLaunchTemplate", LaunchTemplateId=old.id, DefaultVersion=str(int(wanted)))


KINDS = (
    ec2_kind(
        LaunchTemplate,
        "LaunchTemplate",
        name_property="name",
        name_limit=125,
        update_with="CreateLaunchTemplateVersion",
        replaced_by=names("name"),
        updated_by=names(
            "blockDeviceMappings defaultVersion description disableApiStop disableApiTermination ebsOptimized "
            "iamInstanceProfile imageId instanceInitiatedShutdownBehavior instanceType keyName maintenanceOptions "
            "metadataOptions monitoring networkInterfaces placement privateDnsNameOptions tagSpecifications "
            "updateDefaultVersion userData vpcSecurityGroupIds"
        ),
        sets=names("vpcSecurityGroupIds"),
        renames={
            "name": "LaunchTemplateName",
            "description": "VersionDescription",
            "launchTemplateData.vpcSecurityGroupIds": "SecurityGroupIds",
            "launchTemplateData.networkInterfaces.securityGroups": "Groups",
            "launchTemplateData.placement.groupName": "GroupName",
        },
        outputs={
            "name": "LaunchTemplateName",
            "latestVersion": "LatestVersionNumber",
            "defaultVersion": "DefaultVersionNumber",
        },
    ),
)
