"""Copies for the vault that live replication missed: objects older than its rule, and failed ones."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.facts import naming
from infra.stack.outputs import Fleet

OPERATION = "S3ReplicateObject"
UNDER_WAY = ("New", "Preparing", "Ready", "Active", "Completing", "Pausing", "Paused")
OVER = ("Complete", "Failed", "Cancelled")
REFUSED = "Refused"  # our own word: no job exists
NOTHING_FOUND = "no keys matching"
POLL_SECONDS = 1.0
REMEDY = (
    "Has the bucket its replication configuration, and may the role be passed? `pulumi up` makes both; then call again"
)
Say = Callable[[str], None]


class CopiesError(Exception):
    """The stack has no vault, or no role that copies; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """A job on one bucket: its progress, and why it failed."""

    name: str
    bucket: str
    job: str
    status: str
    total: int = 0
    copied: int = 0
    failed: int = 0
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """The job has ended."""
        return self.status in (*OVER, REFUSED)

    @property
    def is_well(self) -> bool:
        """Every object was copied."""
        return self.status == "Complete" and not self.failed

    def render(self) -> str:
        """Return a sentence on the job."""
        if self.is_well:
            return f"{self.name}: {self.copied} copied" if self.total else f"{self.name}: nothing to copy"
        if self.status == "Complete":
            return f"{self.name}: {self.copied} copied, {self.failed} failed; when the cause is gone, call again"
        if self.is_over:
            return f"{self.name}: {self.status}, {self.copied} copied: {self.reason}. {REMEDY}"
        return f"{self.name}: still {self.progress}; the same call waits for it"

    @property
    def progress(self) -> str:
        """The count of copied objects, as text."""
        return f"{self.status}, {self.copied + self.failed} of {self.total}" if self.total else self.status


class Copies:
    """Copies of documents and index into the vault, by S3 Batch Operations."""

    def __init__(self, stack: Fleet) -> None:
        if stack.vault_bucket is None:
            raise CopiesError("The stack has no vault to copy to; set vault.region and deploy it again.")
        if stack.vault_copy_role is None:
            raise CopiesError(
                "The outputs name no vault_copy_role, by which S3 would copy: the stack's vault is older than it. "
                "Deploy it again, and write the outputs with `pulumi stack output --json`."
            )
        self._role, self._partition = stack.vault_copy_role, naming.partition(stack.region)
        self._buckets = {"documents": stack.documents_bucket, "index": stack.index_bucket}
        self._account = str(stack.aws("sts").get_caller_identity()["Account"])
        self._control = stack.aws("s3control")

    def run(
        self,
        say: Say,
        *,
        within_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> list[Job]:
        """Copy both buckets, and return the jobs when all have ended or the time is over."""
        deadline = clock() + within_seconds
        running = self._under_way()
        jobs = [self._begun(name, bucket, running) for name, bucket in self._buckets.items()]
        while not all(job.is_over for job in jobs) and clock() < deadline:
            sleep(POLL_SECONDS)
            seen = [job if job.is_over else self._seen(job.name, job.bucket, job.job) for job in jobs]
            for job, before in zip(seen, jobs, strict=True):
                if job.progress != before.progress:
                    say(f"{job.name}: {job.progress}")
            jobs = seen
        return jobs

    def _begun(self, name: str, bucket: str, running: Mapping[str, str]) -> Job:
        """Return the running job, or a new one."""
        from botocore.exceptions import ClientError

        try:
            return Job(name, bucket, running.get(self._arn(bucket)) or self._create(bucket), "New")
        except ClientError as error:
            return Job(name, bucket, "", REFUSED, reason=str(error))

    def _under_way(self) -> dict[str, str]:
        """Return the running jobs of this kind, by source bucket."""
        found = [str(row["JobId"]) for row in self._running() if row["Operation"] == OPERATION]
        return {source: id_ for id_ in found if (source := _source(self._described(id_)))}

    def _running(self) -> Iterator[dict[str, Any]]:
        """Yield the account's running jobs of any kind."""
        token: dict[str, str] = {}
        while True:
            page = self._control.list_jobs(AccountId=self._account, JobStatuses=list(UNDER_WAY), **token)
            yield from page.get("Jobs", ())
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def _create(self, bucket: str) -> str:
        generator = {
            "SourceBucket": self._arn(bucket),
            "ExpectedBucketOwner": self._account,
            "EnableManifestOutput": False,
            "Filter": {"EligibleForReplication": True, "ObjectReplicationStatuses": ["NONE", "FAILED"]},
        }
        answer = self._control.create_job(
            AccountId=self._account,
            ClientRequestToken=str(uuid.uuid4()),
            ConfirmationRequired=False,
            Description=f"Copies of {bucket} that live replication did not make",
            ManifestGenerator={"S3JobManifestGenerator": generator},
            Operation={OPERATION: {}},
            Priority=1,
            Report={"Enabled": False},
            RoleArn=self._role,
        )
        return str(answer["JobId"])

    def _seen(self, name: str, bucket: str, id_: str) -> Job:
        return read(name, bucket, self._described(id_))

    def _described(self, id_: str) -> dict[str, Any]:
        return dict(self._control.describe_job(AccountId=self._account, JobId=id_)["Job"])

    def _arn(self, bucket: str) -> str:
        return f"arn:{self._partition}:s3:::{bucket}"


def read(name: str, bucket: str, described: Mapping[str, Any]) -> Job:
    """Read an answer of DescribeJob; a job that S3 fails because nothing is left to copy is complete."""
    status, progress = described["Status"], described.get("ProgressSummary", {})
    reasons = [str(row.get("FailureReason", "")) for row in described.get("FailureReasons", ())]
    reason = "; ".join(reasons) or str(described.get("StatusUpdateReason", ""))
    if status == "Failed" and NOTHING_FOUND in reason:
        status, reason = "Complete", ""
    total, copied, failed = (
        int(progress.get(count, 0)) for count in ("TotalNumberOfTasks", "NumberOfTasksSucceeded", "NumberOfTasksFailed")
    )
    return Job(name, bucket, described["JobId"], status, total, copied, failed, reason.rstrip("."))


def to_json(jobs: list[Job]) -> list[dict[str, object]]:
    """Return the jobs as plain data."""
    return [asdict(job) for job in jobs]


def _source(described: Mapping[str, Any]) -> str | None:
    """Return the bucket from which a job generates its manifest."""
    generator = described.get("ManifestGenerator", {}).get("S3JobManifestGenerator", {})
    found: str | None = generator.get("SourceBucket")
    return found
