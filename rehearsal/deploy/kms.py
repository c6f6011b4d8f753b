"""Encryption keys and their aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, found, tag_changes
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

PENDING_DELETION = ("PendingDeletion", "PendingReplicaDeletion")
WINDOW_DAYS = 30


class Key(Kind):
    """aws_kms_key. Deletion only schedules the end of the key; one that is scheduled counts as gone."""

    token = "aws:kms/key:Key"
    service = "kms"
    replaced_by = frozenset({"customerMasterKeySpec", "keyUsage", "multiRegion"})
    updated_by = frozenset(
        {
            "bypassPolicyLockoutSafetyCheck",
            "deletionWindowInDays",
            "description",
            "enableKeyRotation",
            "isEnabled",
            "policy",
            "rotationPeriodInDays",
        }
    )
    json_texts = frozenset({"policy"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "bypassPolicyLockoutSafetyCheck": False,
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "enableKeyRotation": False,
        "isEnabled": True,
        "keyUsage": "ENCRYPT_DECRYPT",
    }
    renames: ClassVar[Mapping[str, str]] = {"customerMasterKeySpec": "KeySpec"}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("kms")
        at_create = self.replaced_by | {"bypassPolicyLockoutSafetyCheck", "description", "policy"}
        asked = {key: value for key, value in inputs.items() if key in at_create}
        made = client.create_key(**parameters(client, "CreateKey", asked, self.renames), Tags=_tags(inputs["tagsAll"]))
        id_ = str(made["KeyMetadata"]["KeyId"])
        self._set_rotation(client, id_, inputs)
        if not inputs["isEnabled"]:
            client.disable_key(KeyId=id_)
        return id_

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        # A key has no name; one with neither description nor tags can't be told from somebody else's.
        if not inputs.get("description") and not inputs.get("tagsAll"):
            return []
        pages = cloud.client("kms").get_paginator("list_keys").paginate()
        ids = [key["KeyId"] for page in pages for key in page["Keys"]]
        return [id_ for id_ in ids if self._is(cloud, id_, inputs)]

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        key = self._described(cloud, id_)
        return key and {"arn": key["Arn"], "keyId": id_}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client, id_ = cloud.client("kms"), old.id
        if "description" in changed:
            client.update_key_description(KeyId=id_, Description=inputs.get("description", ""))
        # A disabled key takes no change of its rotation: enabled before, disabled after.
        if "isEnabled" in changed and inputs["isEnabled"]:
            client.enable_key(KeyId=id_)
        if changed & {"enableKeyRotation", "rotationPeriodInDays"}:
            self._set_rotation(client, id_, inputs, was_on=True)
        if "policy" in changed and "policy" in inputs:
            bypass = bool(inputs["bypassPolicyLockoutSafetyCheck"])
            client.put_key_policy(
                KeyId=id_, PolicyName="default", Policy=inputs["policy"], BypassPolicyLockoutSafetyCheck=bypass
            )
        if "isEnabled" in changed and not inputs["isEnabled"]:
            client.disable_key(KeyId=id_)
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            client.untag_resource(KeyId=id_, TagKeys=gone)
        if new:
            client.tag_resource(KeyId=id_, Tags=_tags(new))

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        days = int(resource.inputs.get("deletionWindowInDays", WINDOW_DAYS))
        if self._described(cloud, resource.id):
            cloud.client("kms").schedule_key_deletion(KeyId=resource.id, PendingWindowInDays=days)

    def _described(self, cloud: Cloud, id_: str) -> dict[str, Any] | None:
        key: dict[str, Any] | None = found(lambda: cloud.client("kms").describe_key(KeyId=id_)["KeyMetadata"])
        return None if key is None or key["KeyState"] in PENDING_DELETION else key

    def _is(self, cloud: Cloud, id_: str, inputs: Properties) -> bool:
        key = self._described(cloud, id_)
        if key is None or key["Description"] != inputs.get("description", ""):
            return False
        tags = cloud.client("kms").list_resource_tags(KeyId=id_)["Tags"]
        return bool({tag["TagKey"]: tag["TagValue"] for tag in tags} == inputs["tagsAll"])

    def _set_rotation(self, client: Any, id_: str, inputs: Properties, *, was_on: bool = False) -> None:
        if inputs["enableKeyRotation"]:
            period = {"rotationPeriodInDays": inputs.get("rotationPeriodInDays")}
            given = {key: value for key, value in period.items() if value is not None}
            client.enable_key_rotation(KeyId=id_, **parameters(client, "EnableKeyRotation", given))
        elif was_on:
            client.disable_key_rotation(KeyId=id_)


class Alias(Kind):
    """aws_kms_alias; an automatic name has the prefix that the API demands."""

    token = "aws:kms/alias:Alias"
    service = "kms"
    tagged = False
    name_property = "name"
    replaced_by = frozenset({"name"})
    updated_by = frozenset({"targetKeyId"})

    def new_name(self, logical_name: str) -> str:
        return f"alias/{super().new_name(logical_name)}"

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        cloud.client("kms").create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
        return str(inputs["name"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["name"]] if self._listed(cloud, inputs["name"]) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        alias = self._listed(cloud, id_)
        return alias and {
            "arn": alias["AliasArn"],
            "name": id_,
            "targetKeyArn": cloud.arn("kms", f"key/{alias['TargetKeyId']}"),
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        cloud.client("kms").update_alias(AliasName=old.id, TargetKeyId=inputs["targetKeyId"])

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("kms").delete_alias(AliasName=resource.id))

    def _listed(self, cloud: Cloud, name: str) -> dict[str, Any] | None:
        pages = cloud.client("kms").get_paginator("list_aliases").paginate()
        listed: list[dict[str, Any]] = [alias for page in pages for alias in page["Aliases"]]
        # AWS lists its own aliases before they have a key.
        return next((a for a in listed if a["AliasName"] == name and "TargetKeyId" in a), None)


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in sorted(tags.items())]


KINDS = (Key(), Alias())
