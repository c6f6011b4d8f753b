"""Jobs of S3 Batch Operations that copy what live replication did not.

A job copies the objects that the rules of a bucket select and that have one of the wanted replication statuses. As in
S3 it fails if there is nothing to copy, or if its role or the bucket's configuration is missing. Left out: noncurrent
versions, which S3 copies too, other operations, manifests of the caller, reports, and pages of a list.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.s3control import urls
from moto.s3control.exceptions import S3ControlError
from moto.s3control.responses import S3ControlResponse

from rehearsal.emulator.account import ACCOUNT
from rehearsal.emulator.aws.s3 import replication
from rehearsal.emulator.corrections import adds

SERVICE = "batchoperations.s3.amazonaws.com"
OPERATION = "S3ReplicateObject"
NO_KEYS = "Manifest generation found no keys matching the filter criteria."
_RUNNER = ThreadPoolExecutor(1, thread_name_prefix="batch-operations")
_log = logging.getLogger(__name__)


class JobFailedError(Exception):
    """A job ends before its first object; the message says why."""


@dataclass
class Job:
    """A job: its request and its progress."""

    asked: dict[str, Any]
    region: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: str = "New"
    total: int = 0
    copied: int = 0
    failed: int = 0
    reason: str = ""
    began: float = 0.0
    seconds: float = 0.0
    ended: datetime | None = None

    @property
    def bucket(self) -> str:
        """Return the bucket whose objects are copied."""
        return str(_generator(self.asked)["SourceBucket"]).rpartition(":")[2]

    def listed(self) -> dict[str, Any]:
        described = self.described()
        shown = ("JobId", "Priority", "Status", "CreationTime", "TerminationDate", "ProgressSummary", "Description")
        return {name: described[name] for name in shown if name in described} | {"Operation": OPERATION}

    def described(self) -> dict[str, Any]:
        kept = (
            "ConfirmationRequired",
            "Description",
            "Operation",
            "Priority",
            "Report",
            "RoleArn",
            "ManifestGenerator",
        )
        return {
            **{name: self.asked[name] for name in kept if self.asked.get(name) is not None},
            "JobId": self.id,
            "JobArn": f"arn:aws:s3:{self.region}:{ACCOUNT}:job/{self.id}",
            "Status": self.status,
            "CreationTime": self.created,
            "ProgressSummary": {
                "TotalNumberOfTasks": self.total,
                "NumberOfTasksSucceeded": self.copied,
                "NumberOfTasksFailed": self.failed,
                "Timers": {"ElapsedTimeInActiveSeconds": int(self.seconds)},
            },
            **({"TerminationDate": self.ended} if self.ended else {}),
            **({"FailureReasons": [{"FailureCode": "JobFailed", "FailureReason": self.reason}]} if self.reason else {}),
        }


_JOBS: dict[str, Job] = {}


def _generator(asked: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (asked.get("ManifestGenerator") or {}).get("S3JobManifestGenerator") or {}
    return found


def _refusal(asked: dict[str, Any]) -> str | None:
    """Return why a job is refused; None if it is accepted."""
    generator = _generator(asked)
    if list(asked["Operation"]) != [OPERATION] or asked.get("Manifest") or not generator:
        return f"The emulated AWS supports {OPERATION} only, with a manifest by S3JobManifestGenerator."
    if not (generator.get("Filter") or {}).get("EligibleForReplication"):
        return f"{OPERATION} needs the filter EligibleForReplication in its manifest generator."
    if generator["EnableManifestOutput"] or asked["Report"]["Enabled"] or asked.get("ConfirmationRequired"):
        return "The emulated AWS supports no manifest output, report or confirmation; leave them off."
    if generator["SourceBucket"].rpartition(":")[2] not in s3_backends[ACCOUNT]["aws"].buckets:
        return "The source bucket of the manifest generator does not exist."
    return None


def _check_role(arn: str) -> None:
    """Raise JobFailedError if S3 Batch Operations may not assume the role."""
    roles = [role for role in iam_backends[ACCOUNT]["aws"].roles.values() if role.arn == arn]
    trusts = [json.loads(role.assume_role_policy_document)["Statement"] for role in roles]
    if not any(SERVICE in str(statement.get("Principal")) for trust in trusts for statement in trust):
        raise JobFailedError(f"AssumeRoleNotPermitted: S3 Batch Operations can't assume the role {arn}.")


def _list(job: Job) -> list[Any]:
    """Return the objects that the job copies. Raises JobFailedError."""
    _check_role(job.asked["RoleArn"])
    if not replication.is_configured(job.bucket):
        raise JobFailedError(f"The source bucket {job.bucket} has no replication configuration.")
    wanted = _generator(job.asked)["Filter"].get("ObjectReplicationStatuses")
    found = replication.eligible(job.bucket, frozenset(wanted) if wanted else None)
    if not found:
        raise JobFailedError(NO_KEYS)
    return found


def _copy(job: Job, keys: list[Any]) -> None:
    job.total, job.status, job.began = len(keys), "Active", time.monotonic()
    for key in keys:
        if replication.copy_again(key):
            job.copied += 1
        else:
            job.failed += 1
        job.seconds = time.monotonic() - job.began
    job.status = "Complete"


def _run(job: Job) -> None:
    job.status = "Preparing"
    try:
        _copy(job, _list(job))
    except JobFailedError as problem:
        job.reason, job.status = str(problem), "Failed"
    except Exception as problem:
        _log.exception("job %s of S3 Batch Operations broke off", job.id)
        job.reason, job.status = f"InternalError: {problem}", "Failed"
    job.ended = datetime.now(UTC)


@adds(S3ControlResponse, "create_job")
def _create_job(self: Any) -> ActionResult:
    asked = self._get_params()
    if refusal := _refusal(asked):
        raise S3ControlError("InvalidRequest", refusal)
    token = asked["ClientRequestToken"]
    known = next((job for job in _JOBS.values() if job.asked["ClientRequestToken"] == token), None)
    job = known or Job(asked, self.region)
    if known is None:
        _JOBS[job.id] = job
        _RUNNER.submit(_run, job)
    return ActionResult({"JobId": job.id})


@adds(S3ControlResponse, "describe_job")
def _describe_job(self: Any) -> ActionResult:
    job = _JOBS.get(self._get_param("JobId"))
    if job is None or job.region != self.region:
        raise S3ControlError("NoSuchJob", "The specified job does not exist.")
    return ActionResult({"Job": job.described()})


@adds(S3ControlResponse, "list_jobs")
def _list_jobs(self: Any) -> ActionResult:
    wanted = self._get_param("JobStatuses")
    here = [job for job in reversed(_JOBS.values()) if job.region == self.region]
    return ActionResult({"Jobs": [job.listed() for job in here if not wanted or job.status in wanted]})


urls.url_paths["/v20180820/jobs"] = S3ControlResponse.dispatch
urls.url_paths["/v20180820/jobs/<job_id>"] = S3ControlResponse.dispatch
