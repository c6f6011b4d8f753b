"""The stacks small and large on the emulated AWS: up, up without a change, and down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal import deployer
from tests.rehearsal.programs.project import client, instances_that_get_ready, inventory, rehearsed_project


@pytest.fixture(scope="module")
def endpoint(own_emulator: str) -> Iterator[str]:
    """Return the endpoint of an emulator for this module's stacks only."""
    with instances_that_get_ready(own_emulator):
        yield own_emulator


@pytest.fixture(scope="module")
def rehearsed(endpoint: str) -> dict[str, Any]:
    """Return the settings with which a stack for AWS runs here: no data protection, no wheels, a known certificate."""
    certificate = client(endpoint)("acm").request_certificate(DomainName="example.com")["CertificateArn"]
    return {"dataProtection": False, "wheelhouse": False, "certificateArn": certificate}


@pytest.mark.parametrize("stack", ["small", "large"])
def test_up_unchanged_and_down(stack: str, tmp_path: Path, endpoint: str, rehearsed: dict[str, Any]) -> None:
    before, root = inventory(endpoint), tmp_path / "root"
    project = rehearsed_project(tmp_path / "project", stack, **rehearsed)
    first = deployer.up(stack, root, endpoint, project=project)
    plan = first.outputs["plan"]["slots"]["blue"]
    assert len(first.outputs["slots"]["blue"]["cells"]) == plan["shards"] * plan["replicas"]
    again = deployer.up(stack, root, endpoint, project=project)
    assert (again.unchanged, again.writes) == (first.created, 0)
    if "vault_bucket" in first.outputs:
        assert_copied_and_locked(first.outputs, endpoint)
    deployer.destroy(root, endpoint)
    assert inventory(endpoint) == before


def assert_copied_and_locked(outputs: Any, endpoint: str) -> None:
    """Check that S3 copies an object of the documents bucket to the vault, where it outlives its deletion."""
    here, there = client(endpoint)("s3"), client(endpoint, "us-west-2")("s3")
    here.put_object(Bucket=outputs["documents_bucket"], Key="log/1", Body=b"entry", IfNoneMatch="*")
    waiter = there.get_waiter("object_exists")
    waiter.wait(Bucket=outputs["vault_bucket"], Key="log/1", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    copy = there.head_object(Bucket=outputs["vault_bucket"], Key="log/1")
    assert copy["ObjectLockMode"] == "GOVERNANCE"
    here.delete_object(Bucket=outputs["documents_bucket"], Key="log/1")
    assert there.get_object(Bucket=outputs["vault_bucket"], Key="log/1")["Body"].read() == b"entry"
