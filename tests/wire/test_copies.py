"""The verb that copies to the vault what live replication did not, against the emulated AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from infra.components import policies
from tests.stack_outputs import written
from tests.wire.fleet import unique
from tests.wire.test_emulator_replication import finished, keys, replicate, rule, source, vault, versioned
from vectorfleet.door import main

__all__ = ["source", "vault"]
Connect = Callable[[str], Any]


def test_old_and_failed_objects_are_copied_once(
    connect: Connect, emulator: str, source: str, vault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, index, elsewhere = connect("s3"), versioned(connect("s3"), unique("index")), unique("elsewhere")
    trust = json.dumps(policies.assume_by("batchoperations.s3", "BatchOperationsOnly"))
    role = connect("iam").create_role(RoleName=unique("copies"), AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    named = {"documents_bucket": source, "index_bucket": index, "vault_bucket": vault, "vault_copy_role": role}
    path = written(tmp_path, **named)
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator)
    monkeypatch.setattr("infra.operations.copies.POLL_SECONDS", 0.1)

    def call() -> tuple[int, list[str]]:
        result = CliRunner().invoke(main, ["copies", "--outputs", str(path), "--within", "20"])
        return result.exit_code, result.output.splitlines()[-2:]

    for n in range(3):
        s3.put_object(Bucket=source, Key=f"log/{n}", Body=b"before the vault")
    code, (documents, _) = call()
    assert code == 1
    assert f"the source bucket {source} has no replication configuration".lower() in documents.lower()
    assert "`pulumi up` makes both" in documents

    replicate(s3, source, rule(vault, "log/"))
    versioned(s3, elsewhere)
    replicate(s3, index, rule(elsewhere))
    s3.delete_bucket(Bucket=elsewhere)
    s3.put_object(Bucket=index, Key="slots/blue", Body=b"x")
    assert finished(s3, index, "slots/blue") == "FAILED"
    assert keys(s3, vault) == []
    assert call() == (
        1,
        ["documents: 3 copied", "index: 0 copied, 1 failed; when the cause is gone, call again"],
    )
    assert keys(s3, vault) == ["log/0", "log/1", "log/2"]
    assert s3.head_object(Bucket=vault, Key="log/0")["ObjectLockMode"] == "GOVERNANCE"

    versioned(s3, elsewhere)
    assert call() == (0, ["documents: nothing to copy", "index: 1 copied"])
    assert keys(s3, elsewhere) == ["slots/blue"]
    assert call() == (0, ["documents: nothing to copy", "index: nothing to copy"])
