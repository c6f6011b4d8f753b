"""Keys of the API as the verb makes them: shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.operations.access_keys import AccessKeyError, AccessKeys
from infra.stack.outputs import Stack
from tests.stack_outputs import a_stack
from vectorfleet.api_key import save_key

STACK = a_stack()


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("ssm", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        monkeypatch.setattr(Stack, "aws", lambda stack, service: client)
        yield client


def test_a_key_is_kept_as_its_digest_alone(ssm: Any) -> None:
    key = AccessKeys(STACK).create("shop-2", "read", 50.0)
    (kept,) = ssm.get_parameters_by_path(Path="/vectorfleet-keys/main", WithDecryption=True)["Parameters"]
    record = json.loads(kept["Value"])
    mark, name, secret = key.split("_", 2)
    assert (mark, name, len(secret)) == ("vf", "shop-2", 43)
    assert (kept["Name"], kept["Type"]) == ("/vectorfleet-keys/main/shop-2", "SecureString")
    assert record["sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    assert (record["role"], record["requests_per_second"]) == ("read", 50.0)
    assert secret not in kept["Value"]
    # A key of the stack's would go with the stack, and the parameter could never be read again.
    assert [parameter["KeyId"] for parameter in ssm.describe_parameters()["Parameters"]] == ["alias/aws/ssm"]


def test_keys_are_listed_and_taken_back(ssm: Any) -> None:
    keys = AccessKeys(STACK)
    keys.create("b", "write")
    keys.create("a", "read")
    assert [(key.name, key.role) for key in keys.listed()] == [("a", "read"), ("b", "write")]
    keys.revoke("a")
    assert [key.name for key in keys.listed()] == ["b"]
    with pytest.raises(AccessKeyError, match="There is no key a; the keys are b"):
        keys.revoke("a")


def test_all_of_them_are_taken_back_before_a_stack_goes(ssm: Any) -> None:
    keys = AccessKeys(STACK)
    for name in ("a", "b", "c"):
        keys.create(name, "read")
    assert keys.revoke_all() == ["a", "b", "c"]
    assert keys.listed() == []


def test_a_saved_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    saved = save_key(tmp_path / "outputs.json", "vf_a_b")
    assert (saved, saved.read_text(), saved.stat().st_mode & 0o777) == (tmp_path / "key", "vf_a_b\n", 0o600)


def test_a_name_that_is_taken_or_can_not_be_is_refused(ssm: Any) -> None:
    keys = AccessKeys(STACK)
    keys.create("shop", "read")
    with pytest.raises(AccessKeyError, match="A key shop exists already"):
        keys.create("shop", "admin")
    assert [key.role for key in keys.listed()] == ["read"]
    for name in ("", "Shop", "a_b", "-a", "a" * 33, "a/b"):
        with pytest.raises(AccessKeyError, match="is not a valid name"):
            keys.create(name, "read")
