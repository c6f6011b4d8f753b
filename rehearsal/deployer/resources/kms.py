"""Encryption keys and their aliases."""

from __future__ import annotations

from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.kind import Kind, Tagging, names
from rehearsal.deployer.state import Properties, Resource

PENDING_DELETION = ("PendingDeletion", "PendingReplicaDeletion")
WINDOW_DAYS = 30


class Key(Kind):
    """aws_kms_key. Deletion only schedules the end of the key, and a scheduled one counts as deleted."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        id_ = super().create(cloud, inputs)
        if inputs["enableKeyRotation"]:
            self._set_rotation(cloud, id_, inputs)
        if not inputs["isEnabled"]:
            cloud.call("kms", "DisableKey", KeyId=id_)
        return id_

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        # A key has no name. Without description and tags it cannot be told from other keys.
        if not inputs.get("description") and not inputs.get("tagsAll"):
            return []
        return [id_ for id_ in cloud.pages("kms", "ListKeys", "Keys[].KeyId") if self._is(cloud, id_, inputs)]

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        key = super().describe(cloud, id_, inputs)
        return None if key is None or key["KeyState"] in PENDING_DELETION else key

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        key = {"KeyId": old.id}
        if "description" in changed:
            cloud.call("kms", "UpdateKeyDescription", **key, Description=inputs.get("description", ""))
        # A disabled key takes no change of its rotation: it is enabled before, or disabled after.
        if "isEnabled" in changed and inputs["isEnabled"]:
            cloud.call("kms", "EnableKey", **key)
        if changed & {"enableKeyRotation", "rotationPeriodInDays"}:
            self._set_rotation(cloud, old.id, inputs)
        if "policy" in changed and "policy" in inputs:
            given = {name: inputs[name] for name in ("policy", "bypassPolicyLockoutSafetyCheck")}
            cloud.call("kms", "PutKeyPolicy", **key, PolicyName="default", **self.request(cloud, "PutKeyPolicy", given))
        if "isEnabled" in changed and not inputs["isEnabled"]:
            cloud.call("kms", "DisableKey", **key)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        days = int(resource.inputs.get("deletionWindowInDays", WINDOW_DAYS))
        if self.describe(cloud, resource.id, {}):
            cloud.call("kms", self.delete_with, KeyId=resource.id, PendingWindowInDays=days)

    def _is(self, cloud: Cloud, id_: str, inputs: Properties) -> bool:
        key = self.describe(cloud, id_, inputs)
        if key is None or key["Description"] != inputs.get("description", ""):
            return False
        tags = cloud.call("kms", "ListResourceTags", KeyId=id_)["Tags"]
        return bool({tag["TagKey"]: tag["TagValue"] for tag in tags} == inputs["tagsAll"])

    def _set_rotation(self, cloud: Cloud, id_: str, inputs: Properties) -> None:
        if inputs["enableKeyRotation"]:
            cloud.call("kms", "EnableKeyRotation", KeyId=id_, **self.request(cloud, "EnableKeyRotation", inputs))
        else:
            cloud.call("kms", "DisableKeyRotation", KeyId=id_)


class Alias(Kind):
    """aws_kms_alias. An automatic name has the prefix that the API demands."""

    def new_name(self, logical_name: str) -> str:
        return f"alias/{super().new_name(logical_name)}"

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        listed = cloud.pages("kms", self.read_with, "Aliases")
        # AWS lists its own aliases before they have a key.
        return next((one for one in listed if one["AliasName"] == id_ and "TargetKeyId" in one), None)


KINDS = (
    Key(
        token="aws:kms/key:Key",
        service="kms",
        identifier="KeyId",
        create_with="CreateKey",
        id="KeyMetadata.KeyId",
        read_with="DescribeKey",
        described="KeyMetadata",
        delete_with="ScheduleKeyDeletion",
        tagging=Tagging(resource="KeyId"),
        replaced_by=names("customerMasterKeySpec keyUsage multiRegion"),
        updated_by=names(
            "bypassPolicyLockoutSafetyCheck deletionWindowInDays description enableKeyRotation isEnabled policy "
            "rotationPeriodInDays"
        ),
        json_texts=names("policy"),
        defaults={
            "bypassPolicyLockoutSafetyCheck": False,
            "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "enableKeyRotation": False,
            "isEnabled": True,
            "keyUsage": "ENCRYPT_DECRYPT",
        },
        renames={"customerMasterKeySpec": "KeySpec"},
        outputs={"arn": "Arn", "keyId": "{id}"},
    ),
    Alias(
        token="aws:kms/alias:Alias",
        service="kms",
        tagged=False,
        name_property="name",
        identifier="AliasName",
        create_with="CreateAlias",
        id="{name}",
        read_with="ListAliases",
        update_with="UpdateAlias",
        delete_with="DeleteAlias",
        replaced_by=names("name"),
        updated_by=names("targetKeyId"),
        renames={"name": "AliasName"},
        outputs={
            "arn": "AliasArn",
            "name": "{id}",
            "targetKeyArn": "arn:aws:kms:{region}:{account}:key/{TargetKeyId}",
        },
    ),
)
