"""Statements of IAM and resource policies in one shape, with JSON's abbreviations expanded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from infra.review.rules.graph import listed

EVERYONE = "*"
WILD = frozenset("*?")
# Operators that demand the key and one of the values.
POSITIVE = ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike")


@dataclass(frozen=True)
class Statement:
    """
    A statement. `conditions` maps operator and key, in lower case, to the allowed values; `other_than` are the actions
    that NotAction excludes.
    """

    sid: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    conditions: Mapping[tuple[str, str], tuple[str, ...]]
    inverted: bool  # NotAction, NotResource or NotPrincipal: everything but the named ones
    other_than: tuple[str, ...] = ()

    def covers(self, action: str) -> bool:
        """Return True if it names the action; IAM ignores case."""
        return any(matches(action, pattern) for pattern in self.actions)

    def means(self, action: str) -> bool:
        """Return True if it applies to the action, by name or by exclusion."""
        spared = any(matches(action, pattern) for pattern in self.other_than)
        return self.covers(action) or (bool(self.other_than) and not spared)

    def narrowed_by(self, begin: str = "") -> bool:
        """Return True if a condition on a key with this prefix admits only some values."""
        return any(
            operator in POSITIVE and key.lower().startswith(begin.lower()) and not any(map(is_wild, values))
            for (operator, key), values in self.conditions.items()
        )

    @property
    def admits_anyone(self) -> bool:
        """Return True if it allows something to principals that nothing names or narrows."""
        return self.allows and (EVERYONE in self.principals or self.inverted) and not self.narrowed_by()

    def refuses_everyone(self, condition: tuple[str, str], values: Iterable[str]) -> bool:
        """Return True if it denies everyone on this one condition, with one of the values."""
        if self.allows or self.inverted or EVERYONE not in self.principals:
            return False
        return self.conditions.keys() == {condition} and set(self.conditions[condition]) <= set(values)


def matches(action: str, pattern: str) -> bool:
    """
    Return True if an action matches a pattern.

    >>> matches("s3:GetObject", "S3:Get*")
    True
    """
    return fnmatchcase(action.lower(), pattern.lower())


def is_wild(text: str) -> bool:
    """
    Return True if a pattern names nothing.

    >>> is_wild("*"), is_wild("?*"), is_wild("a*")
    (True, True, False)
    """
    return bool(text) and set(text) <= WILD


def statements(policy: object) -> list[Statement]:
    """Return the statements of a policy, given as JSON or as a mapping; none of anything else."""
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
