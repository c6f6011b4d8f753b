"""Topics and who may publish to them."""

from __future__ import annotations

from collections.abc import Mapping

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, found, tag_changes, tag_list
from rehearsal.deploy.state import Properties, Resource

ATTRIBUTES: Mapping[str, str] = {
    "displayName": "DisplayName",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "deliveryPolicy": "DeliveryPolicy",
    "signatureVersion": "SignatureVersion",
}


class Topic(Kind):
    """aws_sns_topic."""

    token = "aws:sns/topic:Topic"
    service = "sns"
    name_property = "name"
    name_limit = 256
    replaced_by = frozenset({"name"})
    updated_by = frozenset(ATTRIBUTES)

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        attributes = {api: str(inputs[name]) for name, api in ATTRIBUTES.items() if name in inputs}
        made = cloud.client("sns").create_topic(
            Name=inputs["name"], Attributes=attributes, Tags=tag_list(inputs["tagsAll"])
        )
        return str(made["TopicArn"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        arn = cloud.arn("sns", inputs["name"])
        return [arn] if self.read(cloud, arn, inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        topic = found(lambda: cloud.client("sns").get_topic_attributes(TopicArn=id_))
        return topic and {"arn": id_, "name": id_.rpartition(":")[2], "owner": cloud.account}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("sns")
        for name in sorted(changed & self.updated_by):
            value = str(inputs.get(name, ""))
            client.set_topic_attributes(TopicArn=old.id, AttributeName=ATTRIBUTES[name], AttributeValue=value)
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            client.untag_resource(ResourceArn=old.id, TagKeys=gone)
        if new:
            client.tag_resource(ResourceArn=old.id, Tags=tag_list(new))

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("sns").delete_topic(TopicArn=resource.id))


class TopicPolicy(Kind):
    """aws_sns_topic_policy; a topic always has one, so deletion leaves it to go with its topic."""

    token = "aws:sns/topicPolicy:TopicPolicy"
    service = "sns"
    tagged = False
    replaced_by = frozenset({"arn"})
    updated_by = frozenset({"policy"})
    json_texts = frozenset({"policy"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        cloud.client("sns").set_topic_attributes(
            TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=inputs["policy"]
        )
        return str(inputs["arn"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        return found(lambda: cloud.client("sns").get_topic_attributes(TopicArn=id_)) and {"owner": cloud.account}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self.create(cloud, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Nothing to do; see the class."""


KINDS = (Topic(), TopicPolicy())
