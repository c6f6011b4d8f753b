"""Roles, their inline policies, and instance profiles."""

from __future__ import annotations

from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.kind import Kind, Tagging, found, names
from rehearsal.deployer.state import Properties, Resource

DEFAULT_SESSION_SECONDS = 3600


class Role(Kind):
    """aws_iam_role without inline or managed policies, which are resources of their own."""

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        role = {"RoleName": old.id}
        if "assumeRolePolicy" in changed:
            cloud.call("iam", "UpdateAssumeRolePolicy", **role, PolicyDocument=inputs["assumeRolePolicy"])
        if changed & {"description", "maxSessionDuration"}:
            seconds = int(inputs.get("maxSessionDuration", DEFAULT_SESSION_SECONDS))
            description = inputs.get("description", "")
            cloud.call("iam", "UpdateRole", **role, Description=description, MaxSessionDuration=seconds)
        boundary = inputs.get("permissionsBoundary")
        if "permissionsBoundary" in changed and boundary:
            cloud.call("iam", "PutRolePermissionsBoundary", **role, PermissionsBoundary=boundary)
        elif "permissionsBoundary" in changed:
            cloud.call("iam", "DeleteRolePermissionsBoundary", **role)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        role = {"RoleName": resource.id}
        if resource.inputs.get("forceDetachPolicies"):
            for policy in found(lambda: cloud.call("iam", "ListRolePolicies", **role)["PolicyNames"]) or []:
                cloud.call("iam", "DeleteRolePolicy", **role, PolicyName=policy)
        # A profile that an interrupted run filled and did not record would keep the role.
        listed = found(lambda: cloud.call("iam", "ListInstanceProfilesForRole", **role)["InstanceProfiles"])
        for profile in listed or []:
            name = profile["InstanceProfileName"]
            cloud.call("iam", "RemoveRoleFromInstanceProfile", **role, InstanceProfileName=name)
        super().delete(cloud, resource)


class RolePolicy(Kind):
    """aws_iam_role_policy, whose id holds the role and the name."""

    def identity(self, cloud: Cloud, operation: str, id_: str, inputs: Properties) -> dict[str, Any]:
        role, _, name = id_.partition(":")
        return {"RoleName": role, "PolicyName": name}


class InstanceProfile(Kind):
    """aws_iam_instance_profile."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        name = super().create(cloud, inputs)
        self._add_role(cloud, name, inputs)
        return name

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self._remove_roles(cloud, old.id)
        self._add_role(cloud, old.id, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        self._remove_roles(cloud, resource.id)
        super().delete(cloud, resource)

    def _add_role(self, cloud: Cloud, name: str, inputs: Properties) -> None:
        if "role" in inputs:
            cloud.call("iam", "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=inputs["role"])

    def _remove_roles(self, cloud: Cloud, name: str) -> None:
        for role in (self.describe(cloud, name, {}) or {}).get("Roles", []):
            role_name = role["RoleName"]
            cloud.call("iam", "RemoveRoleFromInstanceProfile", InstanceProfileName=name, RoleName=role_name)


KINDS = (
    Role(
        token="aws:iam/role:Role",
        service="iam",
        name_property="name",
        name_limit=64,
        identifier="RoleName",
        create_with="CreateRole",
        id="{name}",
        read_with="GetRole",
        described="Role",
        delete_with="DeleteRole",
        tagging=Tagging(add="TagRole", remove="UntagRole", resource="RoleName"),
        replaced_by=names("name path"),
        updated_by=names("assumeRolePolicy description forceDetachPolicies maxSessionDuration permissionsBoundary"),
        json_texts=names("assumeRolePolicy"),
        renames={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
        outputs={"arn": "Arn", "name": "RoleName", "uniqueId": "RoleId"},
    ),
    RolePolicy(
        token="aws:iam/rolePolicy:RolePolicy",
        service="iam",
        name_property="name",
        name_limit=128,
        tagged=False,
        create_with="PutRolePolicy",
        id="{role}:{name}",
        read_with="GetRolePolicy",
        update_with="PutRolePolicy",
        delete_with="DeleteRolePolicy",
        replaced_by=names("name role"),
        updated_by=names("policy"),
        json_texts=names("policy"),
        renames={"name": "PolicyName", "role": "RoleName", "policy": "PolicyDocument"},
        outputs={"name": "PolicyName", "role": "RoleName"},
    ),
    InstanceProfile(
        token="aws:iam/instanceProfile:InstanceProfile",
        service="iam",
        name_property="name",
        name_limit=128,
        identifier="InstanceProfileName",
        create_with="CreateInstanceProfile",
        id="{name}",
        read_with="GetInstanceProfile",
        described="InstanceProfile",
        delete_with="DeleteInstanceProfile",
        tagging=Tagging(add="TagInstanceProfile", remove="UntagInstanceProfile", resource="InstanceProfileName"),
        replaced_by=names("name path"),
        updated_by=names("role"),
        renames={"name": "InstanceProfileName"},
        outputs={"arn": "Arn", "name": "{id}", "uniqueId": "InstanceProfileId"},
    ),
)
