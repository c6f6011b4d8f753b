"""Topics, their policies and their subscriptions."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.kind import Kind, names, text_of
from rehearsal.deployer.state import Properties, Resource

PENDING = "pending confirmation"
TOPIC_ATTRIBUTES = names("displayName kmsMasterKeyId deliveryPolicy signatureVersion")
# The scope is first, because SNS checks a policy against it.
SUBSCRIPTION_ATTRIBUTES = (
    "filterPolicyScope",
    "filterPolicy",
    "deliveryPolicy",
    "rawMessageDelivery",
    "redrivePolicy",
    "subscriptionRoleArn",
)


class Topic(Kind):
    """aws_sns_topic."""

    def put(self, cloud: Cloud, inputs: Properties, **more: Any) -> Any:
        given = {_attribute(name): str(inputs[name]) for name in sorted(TOPIC_ATTRIBUTES) if name in inputs}
        return super().put(cloud, inputs, Attributes=given, **more)

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        return super().outputs_in(cloud, id_, described, inputs) | {"name": id_.rpartition(":")[2]}

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        for name in sorted(changed):
            given = {"AttributeName": _attribute(name), "AttributeValue": str(inputs.get(name, ""))}
            cloud.call("sns", self.update_with, TopicArn=old.id, **given)


class TopicPolicy(Kind):
    """aws_sns_topic_policy. A topic always has a policy, so it is deleted with its topic only."""

    def put(self, cloud: Cloud, inputs: Properties, **more: Any) -> Any:
        return super().put(cloud, inputs, AttributeName="Policy", AttributeValue=inputs["policy"])


class TopicSubscription(Kind):
    """aws_sns_topic_subscription. SNS deletes an unconfirmed one by itself and refuses to unsubscribe it."""

    def put(self, cloud: Cloud, inputs: Properties, **more: Any) -> Any:
        given = {_attribute(name): text_of(inputs[name]) for name in SUBSCRIPTION_ATTRIBUTES if inputs.get(name)}
        return super().put(cloud, inputs, Attributes=given, ReturnSubscriptionArn=True)

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        listed = cloud.pages("sns", "ListSubscriptionsByTopic", "Subscriptions", TopicArn=inputs["topic"])
        wanted = (inputs["protocol"], inputs["endpoint"])
        ours = [one["SubscriptionArn"] for one in listed if (one["Protocol"], one["Endpoint"]) == wanted]
        return [arn for arn in ours if arn.startswith("arn:")]

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        pending = {"pendingConfirmation": described["PendingConfirmation"] == "true"}
        return super().outputs_in(cloud, id_, described, inputs) | pending

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        for name in (name for name in SUBSCRIPTION_ATTRIBUTES if name in changed):
            given = {"AttributeName": _attribute(name), "AttributeValue": text_of(inputs.get(name, ""))}
            cloud.call("sns", self.update_with, SubscriptionArn=old.id, **given)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        try:
            super().delete(cloud, resource)
        except ClientError as error:
            if PENDING not in str(error):
                raise


def _attribute(name: str) -> str:
    return f"{name[0].upper()}{name[1:]}"


KINDS = (
    Topic(
        token="aws:sns/topic:Topic",
        service="sns",
        name_property="name",
        name_limit=256,
        identifier="TopicArn",
        create_with="CreateTopic",
        id="arn:aws:sns:{region}:{account}:{name}",
        read_with="GetTopicAttributes",
        update_with="SetTopicAttributes",
        delete_with="DeleteTopic",
        replaced_by=names("name"),
        updated_by=TOPIC_ATTRIBUTES,
        outputs={"arn": "{id}", "owner": "{account}"},
    ),
    TopicPolicy(
        token="aws:sns/topicPolicy:TopicPolicy",
        service="sns",
        tagged=False,
        repeatable=True,
        identifier="TopicArn",
        create_with="SetTopicAttributes",
        id="{arn}",
        read_with="GetTopicAttributes",
        update_with="SetTopicAttributes",
        replaced_by=names("arn"),
        updated_by=names("policy"),
        json_texts=names("policy"),
        renames={"arn": "TopicArn"},
        outputs={"owner": "{account}"},
    ),
    TopicSubscription(
        token="aws:sns/topicSubscription:TopicSubscription",
        service="sns",
        tagged=False,
        identifier="SubscriptionArn",
        create_with="Subscribe",
        id="SubscriptionArn",
        read_with="GetSubscriptionAttributes",
        described="Attributes",
        update_with="SetSubscriptionAttributes",
        delete_with="Unsubscribe",
        replaced_by=names("endpoint protocol topic"),
        updated_by=names("confirmationTimeoutInMinutes endpointAutoConfirms") | frozenset(SUBSCRIPTION_ATTRIBUTES),
        json_texts=names("deliveryPolicy filterPolicy redrivePolicy"),
        defaults={"confirmationTimeoutInMinutes": 1, "endpointAutoConfirms": False, "rawMessageDelivery": False},
        renames={"topic": "TopicArn"},
        outputs={"arn": "{id}", "ownerId": "Owner"},
    ),
)
