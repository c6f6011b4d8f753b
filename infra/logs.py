"""Where a region's services write what they saw: access logs of buckets and load balancer, flows, and log groups."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra import naming, policies
from infra.bucket import BucketArgs, FleetBucket, LogTarget
from infra.keys import Keys
from infra.settings import Settings


class AccessLogs(pulumi.ComponentResource):
    """
    One bucket per region, since every service writes to its own region only. Encrypted with S3's own keys, because
    log delivery takes no others, and without Object Lock, which it does not write to.
    """

    def __init__(
        self,
        settings: Settings,
        account: pulumi.Input[str],
        region: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:AccessLogs", f"{settings.fleet}-{region}", None, opts)
        self.bucket = FleetBucket(
            BucketArgs(
                fleet=settings.fleet,
                role="logs",
                name=naming.logical("bucket", settings.fleet, f"logs-{region}"),
                protected=settings.data_protection,
                expire_days=settings.log_retention_days,
                account=account,
                statements=policies.log_delivery,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.target = LogTarget(self.bucket.bucket.id, [self.bucket.policy])
        self.register_outputs({"bucket": self.bucket.bucket.id})


def log_group(settings: Settings, keys: Keys) -> aws.cloudwatch.LogGroup:
    """Where instances ship what their processes print: encrypted, and with an end."""
    return aws.cloudwatch.LogGroup(
        f"{settings.fleet}-service",
        name=naming.log_group(settings.fleet, "service"),
        retention_in_days=settings.log_retention_days,
        kms_key_id=keys.operations.arn,
        tags={"vectorfleet:fleet": settings.fleet},
    )
