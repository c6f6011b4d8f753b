"""One bucket as every bucket of a fleet is: versioned, encrypted, private, TLS only, and hard to lose."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra import naming, policies


class DataBucket(pulumi.ComponentResource):
    """
    A bucket and its guards.

    `protected` puts protect and retain_on_delete on the bucket itself: Pulumi's children inherit the first, but
    not the second. Without it the bucket empties itself when it is destroyed.
    """

    def __init__(self, fleet: str, role: str, *, protected: bool, opts: pulumi.ResourceOptions | None = None) -> None:
        name = naming.logical("bucket", fleet, role)
        super().__init__("vectorfleet:infra:DataBucket", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self.bucket = aws.s3.Bucket(
            name,
            force_destroy=not protected,
            tags={"Name": name, "vectorfleet:fleet": fleet, "vectorfleet:data": role},
            opts=pulumi.ResourceOptions(parent=self, protect=protected, retain_on_delete=protected),
        )
        self.versioning = aws.s3.BucketVersioning(
            name, bucket=self.bucket.id, versioning_configuration={"status": "Enabled"}, opts=self._child
        )
        self._keep_private(name)
        self.policy = aws.s3.BucketPolicy(
            name,
            bucket=self.bucket.id,
            policy=self.bucket.arn.apply(lambda arn: json.dumps(policies.tls_only(arn))),
            opts=self._child,
        )
        self.register_outputs({"bucket": self.bucket.id})

    def _keep_private(self, name: str) -> None:
        aws.s3.BucketPublicAccessBlock(
            name,
            bucket=self.bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child,
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=self.bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self._child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=self.bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=self._child,
        )
