"""Budgets that can be changed and asked who they tell.

Corrects in moto 5.2.5: UpdateBudget, DescribeSubscribersForNotification and the calls for tags are not implemented.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget
from moto.budgets.responses import BudgetsResponse


def _budget(response: Any, name: str) -> Any:
    account = response._get_param("AccountId") or response.current_account
    budget = response.backend.budgets[account].get(name)
    if budget is None:
        raise NotFoundException(f"Unable to get budget: {name} - the budget doesn't exist.")
    return budget


def _tags(response: Any) -> dict[str, str]:
    """The tags of the budget that an ARN names, to be changed in place."""
    budget = _budget(response, response._get_param("ResourceARN").rpartition("/")[2])
    tags: dict[str, str] = budget.__dict__.setdefault("resource_tags", {})
    return tags


def _create(plain: Callable[[Any], str]) -> Callable[[Any], str]:
    def create_budget(self: Any) -> str:
        answer = plain(self)
        budget = _budget(self, self._get_param("Budget")["BudgetName"])
        budget.resource_tags = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags") or []}
        return answer

    return create_budget


def _update(self: Any) -> str:
    wanted = self._get_param("NewBudget")
    budget = _budget(self, wanted["BudgetName"])
    kept = {key: budget.budget[key] for key in ("TimePeriod",)}
    budget.budget = Budget(kept | wanted, []).budget
    return json.dumps({})


def _subscribers(self: Any) -> str:
    budget, asked = _budget(self, self._get_param("BudgetName")), self._get_param("Notification")
    found = next((n.subscribers for n in budget.notifications if n.details == asked), None)
    if found is None:
        raise NotFoundException("Unable to get subscribers - the notification doesn't exist.")
    return json.dumps({"Subscribers": found})


def _list_tags(self: Any) -> str:
    return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in _tags(self).items()]})


def _tag(self: Any) -> str:
    _tags(self).update({tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags")})
    return json.dumps({})


def _untag(self: Any) -> str:
    tags = _tags(self)
    for key in self._get_param("ResourceTagKeys"):
        tags.pop(key, None)
    return json.dumps({})


def install() -> None:
    """Put the corrections on moto's class."""
    BudgetsResponse.create_budget = _create(BudgetsResponse.create_budget)
    BudgetsResponse.update_budget = _update
    BudgetsResponse.describe_subscribers_for_notification = _subscribers
    BudgetsResponse.list_tags_for_resource = _list_tags
    BudgetsResponse.tag_resource = _tag
    BudgetsResponse.untag_resource = _untag
