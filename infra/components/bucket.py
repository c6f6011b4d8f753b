"""A bucket of a fleet: versioned, encrypted, private, TLS only, logged, and hard to lose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.components import policies
from infra.facts import naming

LEFTOVER_DAYS = 1  # until an upload that broke off is removed
COMPLIANCE = "COMPLIANCE"  # the mode of Object Lock that binds even the account's root
NONCURRENT_DAYS = 90  # in which an object that was overwritten or deleted by mistake can be restored

# A function from a bucket's ARN and the account to its policy's own statements.
Statements = Callable[[str, str], Sequence[policies.Statement]]


@dataclass(frozen=True)
class Lock:
    """Object Lock's default retention: the mode, and the days from an object's creation."""

    mode: str
    days: int


@dataclass(frozen=True)
class LogTarget:
    """A bucket that receives logs; a writer waits for `ready`, which permits it."""

    bucket: pulumi.Input[str]
    ready: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class BucketArgs:
    """
    The arguments of a bucket.

    `protected` sets protect and retain_on_delete on the bucket and on each of its guards, since Pulumi's children
    inherit only the first. A bucket that stays without its guards is neither versioned nor private. An unprotected
    bucket is emptied when it is destroyed. Without `key_arn`, S3's own keys encrypt. Without `logs`, no access is
    logged. `expire_days` is for logs alone: data never expires.
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
        """The bucket stays when the stack is destroyed: it is protected, or nobody can delete its locked objects."""
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
        """Guards that exist before the first object, which else would lack versions or the fleet's key."""
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
            # KMS is called once for a bucket in some minutes, not once for an object.
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
        rules = [rule] if self._args.lock is None else [rule, self._expire_erased()]
        aws.s3.BucketLifecycleConfiguration(
            self._args.name,
            bucket=self.bucket.id,
            rules=rules,
            opts=self._kept_after(self.versioning),
        )

    @staticmethod
    def _expire_erased() -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
        """Delete every version with the tag of an erasure as soon as its lock ends; S3 keeps locked ones until then."""
        key, value = naming.ERASED_TAG
        return {
            "id": "erased",
            "status": "Enabled",
            "filter": {"tag": {"key": key, "value": value}},
            "expiration": {"days": 1},
            "noncurrent_version_expiration": {"noncurrent_days": 1},
        }

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
        """Return the bucket's protection, with a dependency on these."""
        return pulumi.ResourceOptions.merge(self._kept, pulumi.ResourceOptions(depends_on=list(ready)))

    def _lock(self, lock: Lock) -> None:
        aws.s3.BucketObjectLockConfiguration(
            self._args.name,
            bucket=self.bucket.id,
            rule={"default_retention": {"mode": lock.mode, "days": lock.days}},
            opts=self._kept_after(self.versioning),
        )
