"""Topics and their subscriptions."""

from __future__ import annotations

from typing import Any

from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend
from moto.sns.responses import SNSResponse

from rehearsal.emulator.corrections import Method, corrects

CONFIRMED_BY_PEOPLE = ("email", "email-json")


@corrects(SNSBackend, "subscribe")
def _subscribe(plain: Method, self: Any, topic_arn: str, endpoint: str, protocol: str) -> Any:
    """Leave an e-mail address pending until its owner confirms; moto subscribes it at once."""
    subscription = plain(self, topic_arn, endpoint, protocol)
    if protocol in CONFIRMED_BY_PEOPLE:
        subscription.attributes |= {"PendingConfirmation": True, "ConfirmationWasAuthenticated": False}
    return subscription


@corrects(SNSBackend, "unsubscribe")
def _unsubscribe(plain: Method, self: Any, subscription_arn: str) -> None:
    """Refuse to remove a subscription that is pending, as SNS does."""
    subscription = self.subscriptions.get(subscription_arn)
    if subscription is not None and subscription.attributes["PendingConfirmation"]:
        raise SNSInvalidParameter("Cannot unsubscribe a subscription that is pending confirmation")
    plain(self, subscription_arn)


@corrects(SNSResponse, "get_topic_attributes")
def _get_topic_attributes(plain: Method, self: Any) -> Any:
    """Return the signature version of the topic, which moto stores and does not show."""
    answer = plain(self)
    topic = self.backend.get_topic(self._get_param("TopicArn"))
    version = topic.__dict__.get("signature_version")
    answer.result["Attributes"] |= {"SignatureVersion": version} if version else {}
    return answer
