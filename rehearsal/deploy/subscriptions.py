"""Who hears what a topic says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, found
from rehearsal.deploy.state import Properties, Resource

PENDING = "pending confirmation"
ATTRIBUTES: Mapping[str, str] = {
    # The scope first: a policy is judged by it.
    "filterPolicyScope": "FilterPolicyScope",
    "filterPolicy": "FilterPolicy",
    "deliveryPolicy": "DeliveryPolicy",
    "rawMessageDelivery": "RawMessageDelivery",
    "redrivePolicy": "RedrivePolicy",
    "subscriptionRoleArn": "SubscriptionRoleArn",
}


class TopicSubscription(Kind):
    """aws_sns_topic_subscription. One that nobody confirmed can't be taken back: AWS forgets it by itself."""

    token = "aws:sns/topicSubscription:TopicSubscription"
    service = "sns"
    tagged = False
    # How the provider waits for an endpoint that answers for itself; nothing that the API is told.
    conduct = frozenset({"confirmationTimeoutInMinutes", "endpointAutoConfirms"})
    replaced_by = frozenset({"endpoint", "protocol", "topic"})
    updated_by = frozenset(ATTRIBUTES) | conduct
    json_texts = frozenset({"deliveryPolicy", "filterPolicy", "redrivePolicy"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "confirmationTimeoutInMinutes": 1,
        "endpointAutoConfirms": False,
        "rawMessageDelivery": False,
    }

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        made = cloud.client("sns").subscribe(
            TopicArn=inputs["topic"],
            Protocol=inputs["protocol"],
            Endpoint=inputs["endpoint"],
            Attributes={api: _text(inputs[name]) for name, api in ATTRIBUTES.items() if inputs.get(name)},
            ReturnSubscriptionArn=True,
        )
        return str(made["SubscriptionArn"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        pages = cloud.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=inputs["topic"])
        wanted = (inputs["protocol"], inputs["endpoint"])
        listed = [s for page in pages for s in page["Subscriptions"] if (s["Protocol"], s["Endpoint"]) == wanted]
        return [s["SubscriptionArn"] for s in listed if s["SubscriptionArn"].startswith("arn:")]

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        client = cloud.client("sns")
        answer = found(lambda: client.get_subscription_attributes(SubscriptionArn=id_)["Attributes"])
        return answer and {
            "arn": id_,
            "ownerId": answer["Owner"],
            "pendingConfirmation": answer["PendingConfirmation"] == "true",
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        for name, api in ATTRIBUTES.items():
            if name in changed:
                cloud.client("sns").set_subscription_attributes(
                    SubscriptionArn=old.id, AttributeName=api, AttributeValue=_text(inputs.get(name, ""))
                )

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        try:
            found(lambda: cloud.client("sns").unsubscribe(SubscriptionArn=resource.id))
        except ClientError as error:
            if PENDING not in str(error):
                raise


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


KINDS = (TopicSubscription(),)
