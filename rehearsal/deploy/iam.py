"""Roles, their inline policies, and instance profiles."""

from __future__ import annotations

from typing import Any

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, found, tag_changes, tag_list
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters


class Role(Kind):
    """aws_iam_role without inline or managed policies: those are resources of their own."""

    token = "aws:iam/role:Role"
    service = "iam"
    name_property = "name"
    name_limit = 64
    replaced_by = frozenset({"name", "path"})
    updated_by = frozenset(
        {
            "assumeRolePolicy",
            "description",
            "forceDetachPolicies",
            "maxSessionDuration",
            "permissionsBoundary",
        }
    )
    json_texts = frozenset({"assumeRolePolicy"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("iam")
        asked = {k: v for k, v in inputs.items() if k in self.replaced_by | self.updated_by}
        asked.pop("forceDetachPolicies", None)
        renames = {"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"}
        client.create_role(**parameters(client, "CreateRole", asked, renames), Tags=tag_list(inputs["tagsAll"]))
        return str(inputs["name"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["name"]] if found(lambda: self._get(cloud, inputs["name"])) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        role = found(lambda: self._get(cloud, id_))
        return role and {"arn": role["Arn"], "name": role["RoleName"], "uniqueId": role["RoleId"]}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("iam")
        if "assumeRolePolicy" in changed:
            client.update_assume_role_policy(RoleName=old.id, PolicyDocument=inputs["assumeRolePolicy"])
        if changed & {"description", "maxSessionDuration"}:
            client.update_role(
                RoleName=old.id,
                Description=inputs.get("description", ""),
                MaxSessionDuration=int(inputs.get("maxSessionDuration", 3600)),
            )
        if "permissionsBoundary" in changed:
            self._bound(client, old.id, inputs.get("permissionsBoundary"))
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            client.untag_role(RoleName=old.id, TagKeys=gone)
        if new:
            client.tag_role(RoleName=old.id, Tags=tag_list(new))

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        client = cloud.client("iam")
        name = resource.id
        if resource.inputs.get("forceDetachPolicies"):
            for policy in found(lambda: client.list_role_policies(RoleName=name)["PolicyNames"]) or []:
                client.delete_role_policy(RoleName=name, PolicyName=policy)
        # A profile that an interrupted run filled but did not record would keep the role.
        for profile in found(lambda: client.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]) or []:
            client.remove_role_from_instance_profile(InstanceProfileName=profile["InstanceProfileName"], RoleName=name)
        found(lambda: client.delete_role(RoleName=name))

    def _get(self, cloud: Cloud, name: str) -> Any:
        return cloud.client("iam").get_role(RoleName=name)["Role"]

    def _bound(self, client: Any, name: str, boundary: str | None) -> None:
        if boundary:
            client.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
        else:
            client.delete_role_permissions_boundary(RoleName=name)


class RolePolicy(Kind):
    """aws_iam_role_policy."""

    token = "aws:iam/rolePolicy:RolePolicy"
    service = "iam"
    name_property = "name"
    name_limit = 128
    tagged = False
    replaced_by = frozenset({"name", "role"})
    updated_by = frozenset({"policy"})
    json_texts = frozenset({"policy"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        self._put(cloud, inputs)
        return f"{inputs['role']}:{inputs['name']}"

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        role, _, name = id_.partition(":")
        policy = found(lambda: cloud.client("iam").get_role_policy(RoleName=role, PolicyName=name))
        return policy and {"name": name, "role": role}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self._put(cloud, inputs)

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        id_ = f"{inputs['role']}:{inputs['name']}"
        return [id_] if self.read(cloud, id_, inputs) else []

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        role, _, name = resource.id.partition(":")
        found(lambda: cloud.client("iam").delete_role_policy(RoleName=role, PolicyName=name))

    def _put(self, cloud: Cloud, inputs: Properties) -> None:
        cloud.client("iam").put_role_policy(
            RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
        )


class InstanceProfile(Kind):
    """aws_iam_instance_profile."""

    token = "aws:iam/instanceProfile:InstanceProfile"
    service = "iam"
    name_property = "name"
    name_limit = 128
    replaced_by = frozenset({"name", "path"})
    updated_by = frozenset({"role"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("iam")
        asked: Properties = {key: inputs[key] for key in ("name", "path") if key in inputs}
        client.create_instance_profile(
            **parameters(client, "CreateInstanceProfile", asked, {"name": "InstanceProfileName"}),
            Tags=tag_list(inputs["tagsAll"]),
        )
        if "role" in inputs:
            client.add_role_to_instance_profile(InstanceProfileName=inputs["name"], RoleName=inputs["role"])
        return str(inputs["name"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["name"]] if found(lambda: self._get(cloud, inputs["name"])) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        profile = found(lambda: self._get(cloud, id_))
        return profile and {"arn": profile["Arn"], "name": id_, "uniqueId": profile["InstanceProfileId"]}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("iam")
        if "role" in changed:
            self._empty(client, old.id)
            if "role" in inputs:
                client.add_role_to_instance_profile(InstanceProfileName=old.id, RoleName=inputs["role"])
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            client.untag_instance_profile(InstanceProfileName=old.id, TagKeys=gone)
        if new:
            client.tag_instance_profile(InstanceProfileName=old.id, Tags=tag_list(new))

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        client = cloud.client("iam")
        self._empty(client, resource.id)
        found(lambda: client.delete_instance_profile(InstanceProfileName=resource.id))

    def _get(self, cloud: Cloud, name: str) -> Any:
        return cloud.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]

    def _empty(self, client: Any, name: str) -> None:
        profile = found(lambda: client.get_instance_profile(InstanceProfileName=name)["InstanceProfile"])
        for role in (profile or {}).get("Roles", []):
            client.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])


KINDS = (Role(), RolePolicy(), InstanceProfile())
