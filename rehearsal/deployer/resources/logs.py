"""Log groups of CloudWatch Logs."""

from __future__ import annotations

from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.kind import Kind, Tagging, names, only
from rehearsal.deployer.state import Properties, Resource

FOR_EVER = 0


class LogGroup(Kind):
    """aws_cloudwatch_log_group. A retention of 0 days means for ever, as a missing one does."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        name = super().create(cloud, inputs)
        if inputs["retentionInDays"] != FOR_EVER:
            self._retain(cloud, name, inputs)
        return name

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        groups = cloud.pages("logs", self.read_with, "logGroups", logGroupNamePrefix=id_)
        return only([group for group in groups if group["logGroupName"] == id_])

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if "retentionInDays" in changed:
            self._retain(cloud, old.id, inputs)
        if "kmsKeyId" in changed and inputs.get("kmsKeyId"):
            cloud.call("logs", "AssociateKmsKey", logGroupName=old.id, kmsKeyId=inputs["kmsKeyId"])
        elif "kmsKeyId" in changed:
            cloud.call("logs", "DisassociateKmsKey", logGroupName=old.id)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        if not resource.inputs.get("skipDestroy"):
            super().delete(cloud, resource)

    def _retain(self, cloud: Cloud, name: str, inputs: Properties) -> None:
        days = int(inputs["retentionInDays"])
        if days == FOR_EVER:
            cloud.call("logs", "DeleteRetentionPolicy", logGroupName=name)
        else:
            cloud.call("logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=days)


KINDS = (
    LogGroup(
        token="aws:cloudwatch/logGroup:LogGroup",
        service="logs",
        name_property="name",
        name_limit=512,
        identifier="logGroupName",
        create_with="CreateLogGroup",
        id="{name}",
        read_with="DescribeLogGroups",
        delete_with="DeleteLogGroup",
        tagging=Tagging(resource="resourceArn", tags="tags", keys="tagKeys", value="{arn}"),
        replaced_by=names("name logGroupClass"),
        updated_by=names("kmsKeyId retentionInDays skipDestroy"),
        defaults={"retentionInDays": FOR_EVER, "skipDestroy": False},
        renames={"name": "logGroupName"},
        # The provider's ARN lacks the `:*` of the API's.
        outputs={"arn": "arn:aws:logs:{region}:{account}:log-group:{id}", "name": "{id}"},
    ),
)
