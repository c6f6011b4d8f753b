"""Budgets: who is told when a month costs more than it should. They belong to the account, not to a region."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.errors import DeployError
from rehearsal.deploy.kind import Kind, found, tag_changes, tag_list
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

PERIOD_FORMAT = "%Y-%m-%d_%H:%M"
# The API's sort of subscriber, by the property that lists their addresses.
SUBSCRIBERS: Mapping[str, str] = {"subscriberEmailAddresses": "EMAIL", "subscriberSnsTopicArns": "SNS"}


class Budget(Kind):
    """aws_budgets_budget with a fixed limit."""

    token = "aws:budgets/budget:Budget"
    service = "budgets"
    name_property = "name"
    name_limit = 100
    replaced_by = frozenset({"accountId", "name"})
    updated_by = frozenset(
        {
            "budgetType",
            "costFilters",
            "costTypes",
            "limitAmount",
            "limitUnit",
            "notifications",
            "timePeriodEnd",
            "timePeriodStart",
            "timeUnit",
        }
    )
    sets = frozenset({"costFilters", "notifications"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client, account = cloud.client("budgets"), inputs.get("accountId", cloud.account)
        tags = {"ResourceTags": tag_list(inputs["tagsAll"])} if inputs["tagsAll"] else {}
        announced = [
            {"Notification": _notification(client, n), "Subscribers": _subscribers(n)}
            for n in inputs.get("notifications", [])
        ]
        client.create_budget(
            AccountId=account, Budget=_budget(client, inputs), NotificationsWithSubscribers=announced, **tags
        )
        return f"{account}:{inputs['name']}"

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        id_ = f"{inputs.get('accountId', cloud.account)}:{inputs['name']}"
        return [id_] if self.read(cloud, id_, inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        budget = found(lambda: cloud.client("budgets").describe_budget(**_named(id_)))
        return budget and {"accountId": _named(id_)["AccountId"], "arn": _arn(id_), "name": _named(id_)["BudgetName"]}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client, named = cloud.client("budgets"), _named(old.id)
        if changed - {"notifications", "tags", "tagsAll"}:
            client.update_budget(AccountId=named["AccountId"], NewBudget=_budget(client, inputs))
        if "notifications" in changed:
            self._replace_notifications(client, named, inputs)
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            client.untag_resource(ResourceARN=_arn(old.id), ResourceTagKeys=gone)
        if new:
            client.tag_resource(ResourceARN=_arn(old.id), ResourceTags=tag_list(new))

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("budgets").delete_budget(**_named(resource.id)))

    def _replace_notifications(self, client: Any, named: dict[str, str], inputs: Properties) -> None:
        """As the provider does: all of those that are there go, whatever an interrupted update left."""
        for there in client.describe_notifications_for_budget(**named)["Notifications"]:
            # The state of a notification is told and not taken.
            there.pop("NotificationState", None)
            client.delete_notification(**named, Notification=there)
        for wanted in inputs.get("notifications", []):
            client.create_notification(
                **named, Notification=_notification(client, wanted), Subscribers=_subscribers(wanted)
            )


def _budget(client: Any, inputs: Properties) -> dict[str, Any]:
    asked: Properties = {
        "budgetName": inputs["name"],
        "budgetType": inputs["budgetType"],
        "timeUnit": inputs["timeUnit"],
        "budgetLimit": {"amount": inputs["limitAmount"], "unit": inputs["limitUnit"]},
    }
    if inputs.get("costFilters"):
        asked["costFilters"] = {named["name"]: named["values"] for named in inputs["costFilters"]}
    if inputs.get("costTypes"):
        asked["costTypes"] = inputs["costTypes"]
    period = {"Start": inputs.get("timePeriodStart"), "End": inputs.get("timePeriodEnd")}
    given = {end: _moment(text) for end, text in period.items() if text}
    named_account = {"accountId": "0", "budget": asked}
    budget: dict[str, Any] = parameters(client, "CreateBudget", named_account)["Budget"]
    return budget | ({"TimePeriod": given} if given else {})


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, PERIOD_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise DeployError(f"{text!r} is no moment of a budget; write it like 2026-01-01_00:00") from None


def _notification(client: Any, notification: Properties) -> dict[str, Any]:
    settings = {key: value for key, value in notification.items() if key not in SUBSCRIBERS}
    asked = {"accountId": "0", "budgetName": "-", "subscribers": [], "notification": settings}
    wanted: dict[str, Any] = parameters(client, "CreateNotification", asked)["Notification"]
    return wanted


def _subscribers(notification: Properties) -> list[dict[str, str]]:
    told = [(type_, address) for name, type_ in SUBSCRIBERS.items() for address in notification.get(name, [])]
    if not told:
        raise DeployError(f"a notification tells nobody; give it {' or '.join(SUBSCRIBERS)}")
    return [{"SubscriptionType": type_, "Address": address} for type_, address in told]


def _named(id_: str) -> dict[str, str]:
    account, _, name = id_.partition(":")
    return {"AccountId": account, "BudgetName": name}


def _arn(id_: str) -> str:
    account, _, name = id_.partition(":")
    return f"arn:aws:budgets::{account}:budget/{name}"


KINDS = (Budget(),)
