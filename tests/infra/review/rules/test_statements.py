"""Policies in one shape, whatever their JSON abbreviates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.review.rules.statements import statements

PLAIN = (("Bool", "aws:SecureTransport"), ("false",))


def test_one_item_and_a_list_of_one_are_the_same() -> None:
    one = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn", "Principal": "*"}
    same = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn"], "Principal": ["*"]}
    assert statements({"Statement": one}) == statements({"Statement": [same]})


def test_json_and_mappings_are_the_same() -> None:
    document = {"Statement": [{"Sid": "A", "Effect": "Deny", "Action": "*", "Principal": {"AWS": "*", "Service": "x"}}]}
    (statement,) = statements(json.dumps(document))
    assert statements(document) == [statement]
    assert statement.principals == ("*", "x")


@pytest.mark.parametrize("nothing", [None, "", 7])
def test_what_is_no_policy_has_no_statements(nothing: object) -> None:
    assert statements(nothing) == []


@pytest.mark.parametrize(
    ("changes", "refuses"),
    [
        ({}, True),
        ({"Principal": "*"}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": [False]}}}, True),
        ({"Effect": "Allow"}, False),
        ({"Principal": {"AWS": "arn:aws:iam::1:root"}}, False),
        ({"NotPrincipal": {"AWS": "*"}}, False),
        ({"Condition": {}}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": ["false", "true"]}}}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}}, False),
    ],
)
def test_only_a_denial_on_this_condition_refuses_everyone(changes: dict[str, Any], refuses: bool) -> None:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    given = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Condition": condition} | changes
    (statement,) = statements({"Statement": given})
    assert statement.refuses_everyone(*PLAIN) is refuses


def test_actions_are_patterns_without_case() -> None:
    (statement,) = statements({"Statement": {"Effect": "Allow", "Action": ["S3:Get*", "sns:Publish"]}})
    assert statement.covers("s3:getobject")
    assert not statement.covers("s3:PutObject")
