"""Conditions of bucket policies, evaluated against the request."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.components import policies

Connect = Callable[[str], Any]
_numbers = itertools.count()


@pytest.fixture
def bucket(connect: Connect) -> str:
    """Return a bucket that no other test uses."""
    name = f"policies-{next(_numbers)}"
    connect("s3").create_bucket(Bucket=name)
    return name


def _rule(s3: Any, bucket: str, *statements: dict[str, Any]) -> None:
    policy = policies.bucket(f"arn:aws:s3:::{bucket}", statements)
    s3.put_bucket_policy(Bucket=bucket, Policy=policies.text(policy))


def _denied(call: Callable[..., Any], **query: Any) -> None:
    with pytest.raises(ClientError, match=r"403|AccessDenied"):
        call(**query)


def test_a_policy_for_tls_admits_the_loopback(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    _rule(s3, bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"


def test_any_other_denial_denies(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    deny = {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    _rule(s3, bucket, deny)
    _denied(s3.delete_object, Bucket=bucket, Key="a")
    odd = deny | {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}
    _rule(s3, bucket, odd)
    # The emulator can't evaluate this condition, so it applies, as in moto.
    _denied(s3.delete_object, Bucket=bucket, Key="a")


def test_an_entry_of_a_log_can_only_be_created(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    _rule(s3, bucket, *policies.documents_log_is_append_only(f"arn:aws:s3:::{bucket}", "123456789012"))
    s3.put_object(Bucket=bucket, Key="log/1", Body=b"first", IfNoneMatch="*")
    _denied(s3.put_object, Bucket=bucket, Key="log/1", Body=b"second")
    _denied(s3.put_object, Bucket=bucket, Key="log/2", Body=b"first")
    s3.put_object(Bucket=bucket, Key="elsewhere", Body=b"anything")
    assert s3.get_object(Bucket=bucket, Key="log/1")["Body"].read() == b"first"


def test_an_allow_whose_condition_fails_has_no_effect(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    _rule(s3, bucket, *policies.log_delivery(f"arn:aws:s3:::{bucket}", "123456789012"))
    s3.put_object(Bucket=bucket, Key="s3/documents/1", Body=b"line")
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
