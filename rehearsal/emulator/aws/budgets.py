"""Budgets that can be changed and tagged, and whose subscribers can be listed."""

from __future__ import annotations

import json
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget
from moto.budgets.responses import BudgetsResponse

from rehearsal.emulator.corrections import Method, adds, corrects


def _budget(response: Any, name: str) -> Any:
    account = response._get_param("AccountId") or response.current_account
    budget = response.backend.budgets[account].get(name)
    if budget is None:
        raise NotFoundException(f"Unable to get budget: {name} - the budget doesn't exist.")
    return budget


def _tags(response: Any) -> dict[str, str]:
    """Return the tags of the budget that an ARN names, to be changed in place."""
    budget = _budget(response, response._get_param("ResourceARN").rpartition("/")[2])
    tags: dict[str, str] = budget.__dict__.setdefault("resource_tags", {})
    return tags


@corrects(BudgetsResponse, "create_budget")
def _create_budget(plain: Method, self: Any) -> Any:
    """Store the tags, which moto drops."""
    answer = plain(self)
    budget = _budget(self, self._get_param("Budget")["BudgetName"])
    budget.resource_tags = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags") or []}
    return answer


@adds(BudgetsResponse, "update_budget")
def _update_budget(self: Any) -> str:
    wanted = self._get_param("NewBudget")
    budget = _budget(self, wanted["BudgetName"])
    budget.budget = Budget({"TimePeriod": budget.budget["TimePeriod"]} | wanted, []).budget
    return json.dumps({})


@adds(BudgetsResponse, "describe_subscribers_for_notification")
def _describe_subscribers_for_notification(self: Any) -> str:
    budget, asked = _budget(self, self._get_param("BudgetName")), self._get_param("Notification")
    found = next((n.subscribers for n in budget.notifications if n.details == asked), None)
    if found is None:
        raise NotFoundException("Unable to get subscribers - the notification doesn't exist.")
    return json.dumps({"Subscribers": found})


@adds(BudgetsResponse, "list_tags_for_resource")
def _list_tags_for_resource(self: Any) -> str:
    return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in _tags(self).items()]})


@adds(BudgetsResponse, "tag_resource")
def _tag_resource(self: Any) -> str:
    _tags(self).update({tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags")})
    return json.dumps({})


@adds(BudgetsResponse, "untag_resource")
def _untag_resource(self: Any) -> str:
    tags = _tags(self)
    for key in self._get_param("ResourceTagKeys"):
        tags.pop(key, None)
    return json.dumps({})
