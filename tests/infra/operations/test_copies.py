"""Copies for the vault: one job for each bucket, taken up where it is under way, and read as S3 tells it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from infra.operations import copies as copies_module
from infra.operations.copies import Copies, CopiesError, Job, read
from infra.stack.clients import without_account
from infra.stack.outputs import Fleet
from tests.stack_outputs import a_stack, written
from vectorfleet.door import main

VAULT: dict[str, Any] = {
    "documents_bucket": "docs",
    "index_bucket": "index",
    "vault_bucket": "vault",
    "vault_copy_role": "arn:aws:iam::123456789012:role/copies",
}
STACK = a_stack(**VAULT)


class Aws:
    """STS and S3 Control; a job goes one status further at each look, and one page lists one job."""

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.end: dict[str, Any] = {"Status": "Complete"}
        self.refuses: str | None = None
        self.looks = 0

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "123456789012"}

    def list_jobs(self, NextToken: str = "0", **asked: Any) -> dict[str, Any]:  # noqa: N803
        under_way = [job for job in self.jobs.values() if job["Status"] in asked["JobStatuses"]]
        page = under_way[int(NextToken) :]
        more = {"NextToken": str(int(NextToken) + 1)} if len(page) > 1 else {}
        rows = [{"JobId": job["JobId"], "Operation": job["Operation"]} for job in page[:1]]
        return {"Jobs": rows, **more}

    def create_job(self, **asked: Any) -> dict[str, str]:
        bucket = asked["ManifestGenerator"]["S3JobManifestGenerator"]["SourceBucket"]
        if self.refuses and bucket.endswith(self.refuses):
            raise ClientError({"Error": {"Code": "InvalidRequest", "Message": "no rules"}}, "CreateJob")
        self.created.append(asked)
        return {"JobId": self.add(bucket, "New")}

    def add(self, bucket: str, status: str, operation: str = "S3ReplicateObject") -> str:
        id_ = f"job-{len(self.jobs)}"
        generator = {"S3JobManifestGenerator": {"SourceBucket": bucket}}
        self.jobs[id_] = {"JobId": id_, "Status": status, "Operation": operation, "ManifestGenerator": generator}
        return id_

    def describe_job(self, **asked: Any) -> dict[str, Any]:
        self.looks += 1
        job = self.jobs[asked["JobId"]]
        shown = dict(job)
        following = {"New": {"Status": "Active", "ProgressSummary": counts(4, 1, 0)}, "Active": self.end}
        job.update(following.get(job["Status"], {}))
        return {"Job": shown}


def counts(total: int, copied: int, failed: int) -> dict[str, int]:
    return {"TotalNumberOfTasks": total, "NumberOfTasksSucceeded": copied, "NumberOfTasksFailed": failed}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws()
    monkeypatch.setattr(Fleet, "aws", lambda stack, service: made)
    monkeypatch.setattr(copies_module, "POLL_SECONDS", 0.0)
    return made


def run(within: float = 60) -> tuple[list[Job], list[str]]:
    said: list[str] = []
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] += 1

    jobs = Copies(STACK).run(said.append, within_seconds=within, sleep=sleep, clock=lambda: now[0])
    return jobs, said


def test_each_bucket_gets_a_job_for_missing_and_failed_copies(aws: Aws) -> None:
    aws.end = {"Status": "Complete", "ProgressSummary": counts(4, 4, 0)}
    jobs, said = run()
    assert [(job.name, job.bucket, job.status, job.copied) for job in jobs] == [
        ("documents", "docs", "Complete", 4),
        ("index", "index", "Complete", 4),
    ]
    assert said[:2] == ["documents: Active, 1 of 4", "index: Active, 1 of 4"]
    asked = aws.created[0]
    assert asked.pop("ClientRequestToken") != aws.created[1]["ClientRequestToken"]
    assert asked == {
        "AccountId": "123456789012",
        "ConfirmationRequired": False,
        "Description": "Copies of docs that live replication did not make",
        "ManifestGenerator": {
            "S3JobManifestGenerator": {
                "SourceBucket": "arn:aws:s3:::docs",
                "ExpectedBucketOwner": "123456789012",
                "EnableManifestOutput": False,
                "Filter": {"EligibleForReplication": True, "ObjectReplicationStatuses": ["NONE", "FAILED"]},
            }
        },
        "Operation": {"S3ReplicateObject": {}},
        "Priority": 1,
        "Report": {"Enabled": False},
        "RoleArn": VAULT["vault_copy_role"],
    }


def test_a_job_that_is_under_way_for_the_bucket_is_waited_for(aws: Aws) -> None:
    aws.add("arn:aws:s3:::index", "Active", operation="S3PutObjectTagging")
    aws.add("arn:aws:s3:::another", "Active")
    aws.add("arn:aws:s3:::docs", "Complete")
    running = aws.add("arn:aws:s3:::docs", "Active")
    jobs, _ = run()
    assert jobs[0].job == running
    assert [asked["ManifestGenerator"]["S3JobManifestGenerator"]["SourceBucket"] for asked in aws.created] == [
        "arn:aws:s3:::index"
    ]


def test_time_ends_the_wait_and_not_the_jobs(aws: Aws) -> None:
    aws.end = {}
    jobs, _ = run(within=5)
    assert ([job.is_over for job in jobs], aws.looks) == ([False, False], 2 * 5)
    assert jobs[0].render() == "documents: still Active, 1 of 4; the same call waits for it"
    assert [job.job for job in run(within=5)[0]] == [job.job for job in jobs]


def test_a_refused_job_leaves_the_other_bucket_running(aws: Aws) -> None:
    aws.refuses = "docs"
    aws.end = {"Status": "Complete", "ProgressSummary": counts(1, 1, 0)}
    refused, copied = run()[0]
    assert (refused.is_over, refused.is_well, copied.is_well) == (True, False, True)
    assert "no rules" in refused.render()
    assert "Has the bucket its replication configuration" in refused.render()


@pytest.mark.parametrize(
    ("described", "well", "sentence"),
    [
        ({"Status": "Complete", "ProgressSummary": counts(7, 7, 0)}, True, "documents: 7 copied"),
        (
            {"Status": "Complete", "ProgressSummary": counts(7, 5, 2)},
            False,
            "documents: 5 copied, 2 failed; when the cause is gone, call again",
        ),
        (
            {
                "Status": "Failed",
                "FailureReasons": [
                    {"FailureReason": "Manifest generation found no keys matching the filter criteria."}
                ],
            },
            True,
            "documents: nothing to copy",
        ),
        (
            {"Status": "Failed", "FailureReasons": [{"FailureReason": "can't assume the role."}]},
            False,
            f"documents: Failed, 0 copied: can't assume the role. {copies_module.REMEDY}",
        ),
        ({"Status": "Preparing"}, False, "documents: still Preparing; the same call waits for it"),
    ],
)
def test_a_job_is_read_as_a_person_would(described: dict[str, Any], well: bool, sentence: str) -> None:
    job = read("documents", "docs", {"JobId": "j", **described})
    assert (job.is_well, job.render()) == (well, sentence)


def test_without_a_vault_or_its_role_a_sentence_says_what_to_do() -> None:
    with pytest.raises(CopiesError, match=r"no vault to copy to; set vault\.region"):
        Copies(replace(STACK, vault_bucket=None))
    with pytest.raises(CopiesError, match=r"older than it\. Deploy it again"):
        Copies(replace(STACK, vault_copy_role=None))


@pytest.mark.parametrize("host", ["123456789012.127.0.0.1:4566", "127.0.0.1:4566"])
def test_a_loopback_address_has_no_name_for_each_account(host: str) -> None:
    request = SimpleNamespace(url=f"http://{host}/v20180820/jobs", headers={"x-amz-account-id": "123456789012"})
    without_account(request, signing_name="s3")
    assert request.url == "http://127.0.0.1:4566/v20180820/jobs"


def test_the_verb_says_how_many_and_exits_by_it(aws: Aws, tmp_path: Path) -> None:
    path = str(written(tmp_path, **VAULT))

    def call(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["copies", "--outputs", path, *words])
        return result.exit_code, result.output

    aws.end = {"Status": "Complete", "ProgressSummary": counts(4, 4, 0)}
    code, said = call()
    assert (code, said.splitlines()[-2:]) == (0, ["documents: 4 copied", "index: 4 copied"])
    aws.end = {"Status": "Complete", "ProgressSummary": counts(4, 3, 1)}
    result = CliRunner().invoke(main, ["copies", "--outputs", path, "--json"])
    assert (result.exit_code, [row["failed"] for row in json.loads(result.stdout)]) == (1, [1, 1])
    written(tmp_path)
    code, said = call()
    assert (code, "no vault to copy to" in said) == (64, True)
