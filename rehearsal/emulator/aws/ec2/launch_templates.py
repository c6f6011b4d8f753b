"""Launch templates whose versions reach the instance in full."""

from __future__ import annotations

from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import convert_tag_spec

from rehearsal.emulator.corrections import Method, corrects, replaces

Data = dict[str, Any]


def _normal(data: Data) -> Data:
    """Return template data in the form that the rest of moto expects."""
    normal = dict(data)
    if isinstance(user_data := normal.get("UserData"), str):
        normal["UserData"] = Base64EncodedString(user_data)
    if specs := normal.get("TagSpecifications"):
        kept = [spec for spec in specs if spec.get("ResourceType") != "launch-template"]
        normal.pop("TagSpecifications")
        normal |= {"TagSpecifications": kept} if kept else {}
    return {key: value for key, value in normal.items() if value is not None}


def _security_groups(template: Data) -> list[str]:
    if groups := template.get("SecurityGroupIds"):
        return list(groups)
    interfaces = template.get("NetworkInterfaces") or [{}]
    return list(interfaces[0].get("Groups") or interfaces[0].get("SecurityGroupId") or [])


def _block_devices(template: Data) -> list[Data]:
    """Return mappings for RunInstances; a volume is deleted with its instance unless the template says otherwise."""
    devices = [dict(device) for device in template.get("BlockDeviceMappings") or [] if device.get("Ebs")]
    for device in devices:
        device["Ebs"] = {"DeleteOnTermination": True, "VolumeSize": 8, **device["Ebs"]}
    return devices


def _from_template(template: Data, asked: Data) -> Data:
    """Return the parameters of a launch, filled from its template where the request gives none."""
    filled = dict(asked)
    offers = {
        "metadata_options": template.get("MetadataOptions"),
        "block_device_mappings": _block_devices(template),
        "security_group_ids": _security_groups(template),
    }
    filled |= {key: value for key, value in offers.items() if value and not asked.get(key)}
    tags = {kind: dict(pairs) for kind, pairs in (asked.get("tags") or {}).items()}
    for kind, pairs in convert_tag_spec(template.get("TagSpecifications", [])).items():
        tags[kind] = {**pairs, **tags.get(kind, {})}
    return filled | {"tags": tags}


def _finish(backend: Any, instance: Instance, template: Data, tags: Data) -> None:
    """Tag the interfaces, and attach the instance profile; moto attaches only the one of RunInstances itself."""
    for interface in instance.nics.values():
        interface.add_tags(tags.get("network-interface", {}))
    profile = template.get("IamInstanceProfile") or {}
    if profile and instance.id not in backend.iam_instance_profile_associations:
        backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )


@corrects(LaunchTemplate, "create_version")
def _create_version(plain: Method, self: Any, data: Data, description: str) -> Any:
    """
    Store user data in the form that a launch needs, and leave the template's own tags out of its data.

    In moto the user data of CreateLaunchTemplateVersion fails an assertion on launch, and the tags make a difference
    in every later plan.
    """
    return plain(self, _normal(data), description)


@replaces(LaunchTemplateVersion, "user_data")
def _user_data(self: Any) -> Any:
    return self.data.get("UserData")


@corrects(LaunchTemplates, "create_launch_template_version")
def _create_launch_template_version(plain: Method, self: Any) -> Any:
    """Begin with the data of SourceVersion, which moto ignores."""
    source = self._get_param("SourceVersion")
    if source:
        backend, template_id = self.ec2_backend, self._get_param("LaunchTemplateId")
        find = backend.get_launch_template if template_id else backend.get_launch_template_by_name
        base = find(template_id or self._get_param("LaunchTemplateName")).get_version(source).data
        params = self._get_params()
        params["LaunchTemplateData"] = {**base, **params.get("LaunchTemplateData", {})}
        self.params = params
    return plain(self)


@corrects(EC2Backend, "run_instances")
def _run_instances(
    plain: Method, self: Any, image_id: Any, count: int, user_data: Any, groups: Any, **asked: Any
) -> Any:
    """
    Give an instance all that its template says (getmoto/moto#7979 asks for a part of it).

    In moto it gets neither metadata options, block devices (an 8 GB volume appears instead), instance profile, security
    groups of a network interface, nor the tags meant for volumes and interfaces.
    """
    if not asked.get("launch_template"):
        return plain(self, image_id, count, user_data, groups, **asked)
    template = self._get_template_from_args(asked["launch_template"]).data
    filled = _from_template(template, asked)
    tags = filled["tags"]
    reservation = plain(self, image_id, count, user_data, groups, **filled)
    for instance in reservation.instances:
        _finish(self, instance, template, tags)
    return reservation
