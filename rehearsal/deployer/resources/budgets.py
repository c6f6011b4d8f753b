"""Budgets, which belong to the account and not to a region."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.errors import DeployError
from rehearsal.deployer.kind import Kind, Tagging, names
from rehearsal.deployer.state import Properties, Resource
from rehearsal.deployer.translate import parameters

PERIOD_FORMAT = "%Y-%m-%d_%H:%M"
# The API's sort of subscriber, by the property that lists their addresses.
SUBSCRIBERS: Mapping[str, str] = {"subscriberEmailAddresses": "EMAIL", "subscriberSnsTopicArns": "SNS"}


class Budget(Kind):
    """aws_budgets_budget with a fixed limit, whose id holds the account and the name."""

    def put(self, cloud: Cloud, inputs: Properties, **more: Any) -> Any:
        told = [_notification(cloud, one) for one in inputs.get("notifications", [])]
        budget, account = _budget(cloud, inputs), inputs.get("accountId", cloud.account)
        query = {"AccountId": account, "Budget": budget, "NotificationsWithSubscribers": told}
        return cloud.call("budgets", self.create_with, **query, **more)

    def id_in(self, cloud: Cloud, answer: Any, inputs: Properties) -> str:
        return super().id_in(cloud, answer, {"accountId": cloud.account, **inputs})

    def identity(self, cloud: Cloud, operation: str, id_: str, inputs: Properties) -> dict[str, Any]:
        account, _, name = id_.partition(":")
        return {"AccountId": account, "BudgetName": name}

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        account, _, name = id_.partition(":")
        return {"accountId": account, "arn": f"arn:aws:budgets::{account}:budget/{name}", "name": name}

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        named = self.identity(cloud, self.update_with, old.id, inputs)
        if changed - {"notifications"}:
            account = named["AccountId"]
            cloud.call("budgets", self.update_with, AccountId=account, NewBudget=_budget(cloud, inputs))
        if "notifications" in changed:
            self._replace_notifications(cloud, named, inputs)

    def _replace_notifications(self, cloud: Cloud, named: dict[str, Any], inputs: Properties) -> None:
        """Replace all notifications, as the provider does, whatever an interrupted update left."""
        for existing in cloud.call("budgets", "DescribeNotificationsForBudget", **named)["Notifications"]:
            # The API returns the state of a notification and does not accept it.
            existing.pop("NotificationState", None)
            cloud.call("budgets", "DeleteNotification", **named, Notification=existing)
        for wanted in inputs.get("notifications", []):
            cloud.call("budgets", "CreateNotification", **named, **_notification(cloud, wanted))


def _budget(cloud: Cloud, inputs: Properties) -> dict[str, Any]:
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
    budget: dict[str, Any] = parameters(cloud.client("budgets"), "CreateBudget", {"budget": asked})["Budget"]
    return budget | ({"TimePeriod": given} if given else {})


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, PERIOD_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise DeployError(f"{text!r} is not a time of a budget; write it like 2026-01-01_00:00") from None


def _notification(cloud: Cloud, notification: Properties) -> dict[str, Any]:
    """Return a notification with its subscribers, as the API takes both."""
    settings = {key: value for key, value in notification.items() if key not in SUBSCRIBERS}
    given = parameters(cloud.client("budgets"), "CreateNotification", {"notification": settings})
    told = [(type_, address) for name, type_ in SUBSCRIBERS.items() for address in notification.get(name, [])]
    if not told:
        raise DeployError(f"a notification has no subscriber; give it {' or '.join(SUBSCRIBERS)}")
    return given | {"Subscribers": [{"SubscriptionType": type_, "Address": address} for type_, address in told]}


KINDS = (
    Budget(
        token="aws:budgets/budget:Budget",
        service="budgets",
        name_property="name",
        name_limit=100,
        create_with="CreateBudget",
        id="{accountId}:{name}",
        read_with="DescribeBudget",
        described="Budget",
        update_with="UpdateBudget",
        delete_with="DeleteBudget",
        tagging=Tagging(resource="ResourceARN", tags="ResourceTags", keys="ResourceTagKeys", value="{arn}"),
        replaced_by=names("accountId name"),
        updated_by=names(
            "budgetType costFilters costTypes limitAmount limitUnit notifications timePeriodEnd timePeriodStart "
            "timeUnit"
        ),
        sets=names("costFilters notifications"),
    ),
)
