"""Rules of a listener: the first whose conditions hold decides about a request, and the default rule has none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# The head of a request in its order: names in lower case, and values.
Head = list[tuple[bytes, bytes]]
# ARNs of target groups with their weights.
Shares = tuple[tuple[str, int], ...]
WILDCARDS = {"*": ".*", "?": "."}
NOTHING = "(?!)"
# Its priority, which is a number for other rules; letters sort behind digits.
DEFAULT = "default"


@dataclass(frozen=True)
class HeaderCondition:
    """A condition that some value of a header has one of several patterns; without a name it never holds."""

    name: bytes
    pattern: re.Pattern[bytes]

    def holds(self, head: Head) -> bool:
        return any(name == self.name and self.pattern.fullmatch(value) for name, value in head)


@dataclass(frozen=True)
class Rule:
    """The target groups of requests for which all conditions hold."""

    arn: str
    conditions: tuple[HeaderCondition, ...]
    weights: Shares

    def applies(self, head: Head) -> bool:
        return all(condition.holds(head) for condition in self.conditions)


def rules_of(described: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Return the rules of DescribeRules by priority, the default rule last."""
    ordered = sorted(described, key=lambda one: one["Priority"].zfill(len(DEFAULT)))
    return tuple(
        Rule(one["RuleArn"], tuple(map(condition_of, one["Conditions"])), weights_of(one["Actions"])) for one in ordered
    )


def condition_of(described: Mapping[str, Any]) -> HeaderCondition:
    """Return a condition on a header. One of another kind is not emulated, and never holds."""
    config = described.get("HttpHeaderConfig", {})
    name, values = config.get("HttpHeaderName", ""), config.get("Values", ())
    pattern = "|".join(map(_expression, values)) or NOTHING
    return HeaderCondition(name.lower().encode(), re.compile(pattern.encode(), re.IGNORECASE | re.DOTALL))


def _expression(value: str) -> str:
    """Return a comparison string, in which * stands for any characters and ? for one, as a regular expression."""
    return "".join(WILDCARDS.get(letter) or re.escape(letter) for letter in value)


def weights_of(actions: Iterable[Mapping[str, Any]]) -> Shares:
    """Return the weights of a forward action; a target group without weight has weight 1."""
    for action in actions:
        if action["Type"] != "forward":
            continue
        groups = action.get("ForwardConfig", {}).get("TargetGroups")
        if groups:
            return tuple((group["TargetGroupArn"], int(group.get("Weight", 1))) for group in groups)
        return ((action["TargetGroupArn"], 1),)
    return ()
