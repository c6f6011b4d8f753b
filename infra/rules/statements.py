"""Statements of IAM and resource policies in one shape, whatever the JSON abbreviates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from infra.rules.graph import listed

EVERYONE = "*"
WILD = frozenset("*?")
# Operators that hold only where the key is there and has one of the values.
POSITIVE = ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike")


@dataclass(frozen=True)
class Statement:
    """
    One statement; `conditions` maps operator and key to the allowed values, in lower case; `other_than` are the actions
    beside which it means every action.
    """

    sid: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    conditions: Mapping[tuple[str, str], tuple[str, ...]]
    inverted: bool  # NotAction, NotResource or NotPrincipal: everything but what is named
    other_than: tuple[str, ...] = ()

    def covers(self, action: str) -> bool:
        """Whether an action is among those named; IAM does not tell cases apart."""
        return any(matches(action, pattern) for pattern in self.actions)

    def means(self, action: str) -> bool:
        """Whether it is about an action, named or not."""
        spared = any(matches(action, pattern) for pattern in self.other_than)
        return self.covers(action) or (bool(self.other_than) and not spared)

    def narrowed_by(self, begin: str = "") -> bool:
        """Whether a condition on a key that begins so holds for some values only."""
        return any(
            operator in POSITIVE and key.lower().startswith(begin.lower()) and not any(map(is_wild, values))
            for (operator, key), values in self.conditions.items()
        )

    @property
    def admits_anyone(self) -> bool:
        """Whether it allows something to principals that nothing names or narrows."""
        return self.allows and (EVERYONE in self.principals or self.inverted) and not self.narrowed_by()

    def refuses_everyone(self, condition: tuple[str, str], values: Iterable[str]) -> bool:
        """Whether it denies everyone, on that one condition and no other, with one of the values."""
        if self.allows or self.inverted or EVERYONE not in self.principals:
            return False
        return self.conditions.keys() == {condition} and set(self.conditions[condition]) <= set(values)


def matches(action: str, pattern: str) -> bool:
    """
    Whether an action falls under a pattern.

    >>> matches("s3:GetObject", "S3:Get*")
    True
    """
    return fnmatchcase(action.lower(), pattern.lower())


def is_wild(text: str) -> bool:
    """
    Whether a pattern names nothing.

    >>> is_wild("*"), is_wild("?*"), is_wild("a*")
    (True, True, False)
    """
    return bool(text) and set(text) <= WILD


def statements(policy: object) -> list[Statement]:
    """The statements of a policy, given as JSON or as a mapping; none of what is neither."""
    document = json.loads(policy) if isinstance(policy, str) and policy else policy
    if not isinstance(document, Mapping):
        return []
    return [_statement(one) for one in listed(document.get("Statement"))]


def _statement(given: Mapping[str, Any]) -> Statement:
    return Statement(
        sid=str(given.get("Sid") or "without a Sid"),
        allows=given.get("Effect") == "Allow",
        actions=_texts(given.get("Action")),
        resources=_texts(given.get("Resource")),
        principals=_principals(given.get("Principal")),
        conditions=dict(_conditions(given.get("Condition") or {})),
        inverted=any(key in given for key in ("NotAction", "NotResource", "NotPrincipal")),
        other_than=_texts(given.get("NotAction")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in listed(value))


def _principals(given: object) -> tuple[str, ...]:
    if isinstance(given, Mapping):
        return tuple(text for value in given.values() for text in _texts(value))
    return _texts(given)


def _conditions(given: Mapping[str, Any]) -> Iterable[tuple[tuple[str, str], tuple[str, ...]]]:
    for operator, keys in given.items():
        for key, values in keys.items():
            yield (operator, key), tuple(str(value).lower() for value in listed(values))
