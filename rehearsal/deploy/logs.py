"""Log groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, found, only, tag_changes
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

FOR_EVER = 0


class LogGroup(Kind):
    """aws_cloudwatch_log_group. A retention of 0 days keeps for ever, as leaving it out does."""

    token = "aws:cloudwatch/logGroup:LogGroup"
    service = "logs"
    name_property = "name"
    name_limit = 512
    replaced_by = frozenset({"name", "logGroupClass"})
    updated_by = frozenset({"kmsKeyId", "retentionInDays", "skipDestroy"})
    defaults: ClassVar[Mapping[str, Any]] = {"retentionInDays": FOR_EVER, "skipDestroy": False}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("logs")
        asked: Properties = {"logGroupName": inputs["name"]}
        asked |= {key: inputs[key] for key in ("kmsKeyId", "logGroupClass") if key in inputs}
        if inputs["tagsAll"]:
            asked["tags"] = inputs["tagsAll"]
        client.create_log_group(**parameters(client, "CreateLogGroup", asked, {key: key for key in asked}))
        if inputs["retentionInDays"] != FOR_EVER:
            self._retain(client, inputs)
        return str(inputs["name"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["name"]] if self.read(cloud, inputs["name"], inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        pages = cloud.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=id_)
        group = only([g for page in pages for g in page["logGroups"] if g["logGroupName"] == id_])
        # The provider's ARN is the one without the `:*` at its end.
        return group and {"arn": cloud.arn("logs", f"log-group:{id_}"), "name": id_}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("logs")
        if "retentionInDays" in changed:
            self._retain(client, inputs)
        if "kmsKeyId" in changed and inputs.get("kmsKeyId"):
            client.associate_kms_key(logGroupName=old.id, kmsKeyId=inputs["kmsKeyId"])
        elif "kmsKeyId" in changed:
            client.disassociate_kms_key(logGroupName=old.id)
        arn = cloud.arn("logs", f"log-group:{old.id}")
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            client.untag_resource(resourceArn=arn, tagKeys=gone)
        if new:
            client.tag_resource(resourceArn=arn, tags=new)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        if not resource.inputs.get("skipDestroy"):
            found(lambda: cloud.client("logs").delete_log_group(logGroupName=resource.id))

    def _retain(self, client: Any, inputs: Properties) -> None:
        name, days = inputs["name"], int(inputs["retentionInDays"])
        if days == FOR_EVER:
            client.delete_retention_policy(logGroupName=name)
        else:
            client.put_retention_policy(logGroupName=name, retentionInDays=days)


KINDS = (LogGroup(),)
