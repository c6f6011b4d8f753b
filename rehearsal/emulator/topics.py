"""Topics and their subscribers.

Corrects in moto 5.2.5: an e-mail address is subscribed without anybody having confirmed; the version of the
signature that a topic was given is not told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend
from moto.sns.responses import SNSResponse

CONFIRMED_BY_PEOPLE = ("email", "email-json")


def _subscribe(plain: Callable[..., Any]) -> Callable[..., Any]:
    def subscribe(self: Any, topic_arn: str, endpoint: str, protocol: str) -> Any:
        subscription = plain(self, topic_arn, endpoint, protocol)
        if protocol in CONFIRMED_BY_PEOPLE:
            subscription.attributes |= {"PendingConfirmation": True, "ConfirmationWasAuthenticated": False}
        return subscription

    return subscribe


def _unsubscribe(plain: Callable[..., None]) -> Callable[..., None]:
    def unsubscribe(self: Any, subscription_arn: str) -> None:
        subscription = self.subscriptions.get(subscription_arn)
        if subscription is not None and subscription.attributes["PendingConfirmation"]:
            raise SNSInvalidParameter("Cannot unsubscribe a subscription that is pending confirmation")
        plain(self, subscription_arn)

    return unsubscribe


def _attributes(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get_topic_attributes(self: Any) -> Any:
        answer = plain(self)
        topic = self.backend.get_topic(self._get_param("TopicArn"))
        version = topic.__dict__.get("signature_version")
        answer.result["Attributes"] |= {"SignatureVersion": version} if version else {}
        return answer

    return get_topic_attributes


def install() -> None:
    """Put the corrections on moto's classes."""
    SNSBackend.subscribe = _subscribe(SNSBackend.subscribe)
    SNSBackend.unsubscribe = _unsubscribe(SNSBackend.unsubscribe)
    SNSResponse.get_topic_attributes = _attributes(SNSResponse.get_topic_attributes)
