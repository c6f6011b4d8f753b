"""Batch jobs of the emulator, which copy what live replication did not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.stack.clients import without_account
from tests.wire.fleet import eventually, unique
from tests.wire.test_emulator_replication import finished, keys, replicate, rule, source, vault, versioned

__all__ = ["source", "vault"]
Connect = Callable[[str], Any]
ACCOUNT = "123456789012"
ENDED = ("Complete", "Failed")


@pytest.fixture
def jobs(emulator: str) -> Any:
    """Return a client of S3 Control that reaches a loopback address."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    made = session.client("s3control", endpoint_url=emulator)
    made.meta.events.register("before-sign.s3-control", without_account)
    return made


@pytest.fixture
def role(connect: Connect) -> str:
    """Return a role that S3 Batch Operations may assume."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "batchoperations.s3.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    made = connect("iam").create_role(
        RoleName=unique("jobs"), AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
    )
    return str(made["Role"]["Arn"])


def asked(bucket: str, role: str, **more: Any) -> dict[str, Any]:
    generator = {
        "SourceBucket": f"arn:aws:s3:::{bucket}",
        "EnableManifestOutput": False,
        "Filter": {"EligibleForReplication": True, "ObjectReplicationStatuses": ["NONE", "FAILED"]},
    }
    return {
        "AccountId": ACCOUNT,
        "ConfirmationRequired": False,
        "Operation": {"S3ReplicateObject": {}},
        "ManifestGenerator": {"S3JobManifestGenerator": generator},
        "Report": {"Enabled": False},
        "Priority": 1,
        "RoleArn": role,
        "ClientRequestToken": unique("token"),
        **more,
    }


def ended(jobs: Any, id_: str) -> dict[str, Any]:
    """Wait for the end of a job."""

    def job() -> dict[str, Any] | None:
        found: dict[str, Any] = jobs.describe_job(AccountId=ACCOUNT, JobId=id_)["Job"]
        return found if found["Status"] in ENDED else None

    found: dict[str, Any] = eventually(job)
    return found


def run(jobs: Any, bucket: str, role: str) -> tuple[str, int, int]:
    """Run a job; return its status, and its numbers of copied and failed objects."""
    job = ended(jobs, jobs.create_job(**asked(bucket, role))["JobId"])
    progress = job["ProgressSummary"]
    assert progress["TotalNumberOfTasks"] == progress["NumberOfTasksSucceeded"] + progress["NumberOfTasksFailed"]
    return job["Status"], progress["NumberOfTasksSucceeded"], progress["NumberOfTasksFailed"]


def test_objects_older_than_the_rule_are_copied_once(
    connect: Connect, jobs: Any, role: str, source: str, vault: str
) -> None:
    s3 = connect("s3")
    versions = [s3.put_object(Bucket=source, Key=f"log/{n}", Body=b"%d" % n)["VersionId"] for n in range(3)]
    s3.put_object(Bucket=source, Key="other", Body=b"x")
    s3.put_object(Bucket=source, Key="log/gone", Body=b"x")
    s3.delete_object(Bucket=source, Key="log/gone")
    replicate(s3, source, rule(vault, "log/"))
    s3.put_object(Bucket=source, Key="log/3", Body=b"3")
    assert finished(s3, source, "log/3") == "COMPLETED"
    assert keys(s3, vault) == ["log/3"]

    assert run(jobs, source, role) == ("Complete", 3, 0)
    assert keys(s3, vault) == ["log/0", "log/1", "log/2", "log/3"]
    assert [s3.head_object(Bucket=source, Key=f"log/{n}")["ReplicationStatus"] for n in range(3)] == ["COMPLETED"] * 3
    copies = [s3.head_object(Bucket=vault, Key=f"log/{n}") for n in range(3)]
    assert [copy["VersionId"] for copy in copies] == versions
    assert {(copy["ReplicationStatus"], copy["ObjectLockMode"]) for copy in copies} == {("REPLICA", "GOVERNANCE")}

    # S3 fails a job that has nothing to do.
    again = ended(jobs, jobs.create_job(**asked(source, role))["JobId"])
    assert (again["Status"], again["FailureReasons"][0]["FailureReason"]) == (
        "Failed",
        "Manifest generation found no keys matching the filter criteria.",
    )
    assert len(s3.list_object_versions(Bucket=vault)["Versions"]) == 4


def test_failed_objects_are_copied_once_the_cause_is_gone(connect: Connect, jobs: Any, role: str, source: str) -> None:
    s3, target = connect("s3"), unique("target")
    versioned(s3, target)
    replicate(s3, source, rule(target))
    s3.delete_bucket(Bucket=target)
    s3.put_object(Bucket=source, Key="a", Body=b"x")
    assert finished(s3, source, "a") == "FAILED"
    assert run(jobs, source, role) == ("Complete", 0, 1)
    assert finished(s3, source, "a") == "FAILED"
    versioned(s3, target)
    assert run(jobs, source, role) == ("Complete", 1, 0)
    assert (finished(s3, source, "a"), keys(s3, target)) == ("COMPLETED", ["a"])


def test_a_job_without_rules_or_role_fails_with_the_reason(
    connect: Connect, jobs: Any, role: str, source: str, vault: str
) -> None:
    s3 = connect("s3")
    s3.put_object(Bucket=source, Key="a", Body=b"x")
    bare = ended(jobs, jobs.create_job(**asked(source, role))["JobId"])
    replicate(s3, source, rule(vault))
    stranger = ended(jobs, jobs.create_job(**asked(source, f"arn:aws:iam::{ACCOUNT}:role/nobody"))["JobId"])
    assert [job["Status"] for job in (bare, stranger)] == ["Failed", "Failed"]
    assert "has no replication configuration" in bare["FailureReasons"][0]["FailureReason"]
    assert "can't assume the role" in stranger["FailureReasons"][0]["FailureReason"]
    assert keys(s3, vault) == []


def test_jobs_are_listed_by_status_and_a_token_makes_one(
    connect: Connect, jobs: Any, role: str, source: str, vault: str
) -> None:
    replicate(connect("s3"), source, rule(vault))
    wanted = asked(source, role, Description="copies of what was there")
    ids = {jobs.create_job(**wanted)["JobId"] for _ in range(2)}
    assert len(ids) == 1
    job = ended(jobs, *ids)
    assert job["ManifestGenerator"]["S3JobManifestGenerator"]["SourceBucket"] == f"arn:aws:s3:::{source}"
    failed = jobs.list_jobs(AccountId=ACCOUNT, JobStatuses=["Failed", "Active"])["Jobs"]
    assert {row["Operation"] for row in failed if row["JobId"] in ids} == {"S3ReplicateObject"}
    assert not ids & {row["JobId"] for row in jobs.list_jobs(AccountId=ACCOUNT, JobStatuses=["Active"])["Jobs"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Operation": {"S3DeleteObjectTagging": {}}}, "supports S3ReplicateObject only"),
        ({"ConfirmationRequired": True}, "no manifest output, report or confirmation"),
    ],
)
def test_an_unsupported_job_is_refused(jobs: Any, role: str, source: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words):
        jobs.create_job(**asked(source, role, **change))
    with pytest.raises(ClientError, match="job does not exist"):
        jobs.describe_job(AccountId=ACCOUNT, JobId="no-such-job")
