"""One bucket as every bucket of a fleet is: versioned, encrypted, private, TLS only, logged, and hard to lose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies

LEFTOVER_DAYS = 1  # an upload that broke off is of no use to anybody after that
COMPLIANCE = "COMPLIANCE"  # Object Lock's mode that binds everybody, also the account's root
NONCURRENT_DAYS = 90  # how long an object that was overwritten or deleted by mistake can be taken back

# From a bucket's ARN and the account to the statements that its policy has besides those of every bucket.
Statements = Callable[[str, str], Sequence[policies.Statement]]


@dataclass(frozen=True)
class Lock:
    """Object Lock's default: every object is kept for so many days from its creation, by that mode."""

    mode: str
    days: int


@dataclass(frozen=True)
class LogTarget:
    """A bucket that logs are written to; whoever writes there waits for `ready`, without which it may not."""

    bucket: pulumi.Input[str]
    ready: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class BucketArgs:
    """
    What a bucket is made from.

    `protected` puts protect and retain_on_delete on the bucket and on each of its guards: Pulumi's children inherit
    the first, but not the second, and a bucket that stays without them is neither versioned nor private. Without it the
    bucket empties itself when it is destroyed. Without `key_arn` S3's own keys encrypt; without `logs` no access is
    logged. `expire_days` is for logs alone: nothing of a live prefix ever expires.
    """

    fleet: str
    role: str
    name: str
    protected: bool
    account: pulumi.Input[str]
    key_arn: pulumi.Input[str] | None = None
    logs: LogTarget | None = None
    lock: Lock | None = None
    expire_days: int | None = None
    statements: Statements = policies.nothing_more

    @property
    def retained(self) -> bool:
        """Whether it stays when the stack goes: also where nobody could empty it, since its objects are locked."""
        return self.protected or (self.lock is not None and self.lock.mode == COMPLIANCE)


class FleetBucket(pulumi.ComponentResource):
    """A bucket and its guards."""

    def __init__(self, args: BucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("vectorfleet:infra:FleetBucket", args.name, None, opts)
        self._args = args
        self._kept = pulumi.ResourceOptions(parent=self, protect=args.protected, retain_on_delete=args.retained)
        self.bucket = aws.s3.Bucket(
            args.name,
            force_destroy=not args.protected,
            object_lock_enabled=args.lock is not None,
            tags={"Name": args.name, "vectorfleet:fleet": args.fleet, "vectorfleet:data": args.role},
            opts=self._kept,
        )
        self.versioning = aws.s3.BucketVersioning(
            args.name, bucket=self.bucket.id, versioning_configuration={"status": "Enabled"}, opts=self._kept
        )
        self._keep_private()
        self.encryption = self._encrypt()
        self._clean_up()
        self.policy = self._policy()
        if args.logs is not None:
            self._log_access(args.logs)
        if args.lock is not None:
            self._lock(args.lock)
        self.register_outputs({"bucket": self.bucket.id})

    @property
    def ready(self) -> list[pulumi.Resource]:
        """What has to be there before an object is: what comes earlier is kept without versions or the fleet's key."""
        return [self.versioning, self.encryption, self.policy]

    def _keep_private(self) -> None:
        aws.s3.BucketPublicAccessBlock(
            self._args.name,
            bucket=self.bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._kept,
        )
        aws.s3.BucketOwnershipControls(
            self._args.name,
            bucket=self.bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self._kept,
        )

    def _encrypt(self) -> aws.s3.BucketServerSideEncryptionConfiguration:
        key = self._args.key_arn
        by_default: aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgsDict = (
            {"sse_algorithm": "AES256"} if key is None else {"sse_algorithm": "aws:kms", "kms_master_key_id": key}
        )
        return aws.s3.BucketServerSideEncryptionConfiguration(
            self._args.name,
            bucket=self.bucket.id,
            # One call to the key service per bucket and minutes instead of one per object.
            rules=[{"apply_server_side_encryption_by_default": by_default, "bucket_key_enabled": key is not None}],
            opts=self._kept,
        )

    def _clean_up(self) -> None:
        rule: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
            "id": "leftovers",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": LEFTOVER_DAYS},
            "noncurrent_version_expiration": {"noncurrent_days": NONCURRENT_DAYS},
        }
        if self._args.expire_days is not None:
            rule["expiration"] = {"days": self._args.expire_days}
        aws.s3.BucketLifecycleConfiguration(
            self._args.name,
            bucket=self.bucket.id,
            rules=[rule],
            opts=self._kept_after(self.versioning),
        )

    def _policy(self) -> aws.s3.BucketPolicy:
        document = pulumi.Output.all(self.bucket.arn, self._args.account).apply(
            lambda made: policies.text(policies.bucket(made[0], self._args.statements(*made)))
        )
        return aws.s3.BucketPolicy(self._args.name, bucket=self.bucket.id, policy=document, opts=self._kept)

    def _log_access(self, logs: LogTarget) -> None:
        aws.s3.BucketLogging(
            self._args.name,
            bucket=self.bucket.id,
            target_bucket=logs.bucket,
            # Each line names its bucket.
            target_prefix="s3/",
            opts=self._kept_after(*logs.ready),
        )

    def _kept_after(self, *ready: pulumi.Resource) -> pulumi.ResourceOptions:
        """As protected as the bucket, and made after these."""
        return pulumi.ResourceOptions.merge(self._kept, pulumi.ResourceOptions(depends_on=list(ready)))

    def _lock(self, lock: Lock) -> None:
        aws.s3.BucketObjectLockConfiguration(
            self._args.name,
            bucket=self.bucket.id,
            rule={"default_retention": {"mode": lock.mode, "days": lock.days}},
            opts=self._kept_after(self.versioning),
        )
