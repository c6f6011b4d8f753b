"""Rules of a listener as DescribeRules has them, with AWS's comparison of headers."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.emulator.balancer.rules import Head, Rule, condition_of, rules_of, weights_of

# Letters that mean something in other languages of patterns.
TEXTS = st.text("aB.[]!\\^$(|)+", max_size=6)
PATTERNS = st.lists(st.one_of(TEXTS, st.sampled_from("*?")), min_size=1, max_size=5).map("".join).filter(bool)


def on(name: str, *values: str) -> dict[str, Any]:
    """Return a condition on a header, as the API writes it."""
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": list(values)}}


def holds(condition: dict[str, Any], *head: tuple[str, str]) -> bool:
    read: Head = [(name.lower().encode(), value.encode()) for name, value in head]
    return condition_of(condition).holds(read)


@given(PATTERNS, TEXTS)
def test_wildcards_stand_for_any_letters_or_one(pattern: str, value: str) -> None:
    # fnmatch has the same wildcards, and sets in brackets, which AWS has not.
    wanted = fnmatchcase(value.lower(), pattern.lower().replace("[", "[[]"))
    assert holds(on("X-Slot", pattern), ("X-Slot", value)) is wanted


@pytest.mark.parametrize(
    ("condition", "head", "wanted"),
    [
        (on("X-Slot", "green"), [("x-slot", "green")], True),
        (on("x-SLOT", "GREEN"), [("X-Slot", "green")], True),
        (on("X-Slot", "green"), [("X-Slot", "greens")], False),
        (on("X-Slot", "green"), [("X-Slot", "a green")], False),
        (on("X-Slot", "green"), [("X-Slots", "green")], False),
        (on("X-Slot", "green", "gold"), [("X-Slot", "gold")], True),
        (on("X-Slot", "green"), [("X-Slot", "blue"), ("X-Slot", "green")], True),
        (on("X-Slot", "green"), [], False),
        (on("X-Slot"), [("X-Slot", "")], False),
        ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["*"]}}, [("", "")], False),
    ],
)
def test_a_header_is_compared_without_case(condition: Any, head: Any, wanted: bool) -> None:
    assert holds(condition, *head) is wanted


def described(priority: str, *conditions: dict[str, Any], group: str = "a") -> dict[str, Any]:
    return {
        "RuleArn": f"arn:{priority}",
        "Priority": priority,
        "IsDefault": priority == "default",
        "Conditions": list(conditions),
        "Actions": [{"Type": "forward", "TargetGroupArn": group}],
    }


def test_rules_are_tried_by_priority_the_default_rule_last() -> None:
    found = rules_of([described("default"), described("10000"), described("9"), described("100")])
    assert [rule.arn for rule in found] == ["arn:9", "arn:100", "arn:10000", "arn:default"]


def test_a_rule_applies_if_all_of_its_conditions_hold() -> None:
    both, default = rules_of([described("1", on("a", "x"), on("b", "y")), described("default")])
    assert both.applies([(b"b", b"y"), (b"a", b"x")])
    assert not both.applies([(b"a", b"x")])
    assert default.applies([])
    assert default == Rule("arn:default", (), (("a", 1),))


def test_actions_are_read_as_the_api_writes_them() -> None:
    assert weights_of([{"Type": "forward", "TargetGroupArn": "a"}]) == (("a", 1),)
    config = {"TargetGroups": [{"TargetGroupArn": "a", "Weight": 9}, {"TargetGroupArn": "b", "Weight": 0}]}
    assert weights_of([{"Type": "forward", "ForwardConfig": config}]) == (("a", 9), ("b", 0))
    assert weights_of([{"Type": "redirect"}]) == ()
