"""Log destinations of a region: access logs of buckets and load balancer, flow logs, and log groups."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.components import policies
from infra.components.bucket import BucketArgs, FleetBucket, LogTarget
from infra.components.keys import Keys
from infra.configuration.settings import Settings
from infra.facts import naming


class AccessLogs(pulumi.ComponentResource):
    """
    The log bucket of a region: services write to their own region only.

    It is encrypted with S3's own keys and has no Object Lock, since log delivery supports neither KMS keys nor locks.
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
    """Register the log group of the instances' processes: encrypted, with a retention time."""
    return aws.cloudwatch.LogGroup(
        f"{settings.fleet}-service",
        name=naming.log_group(settings.fleet, "service"),
        retention_in_days=settings.log_retention_days,
        kms_key_id=keys.operations.arn,
        tags={"vectorfleet:fleet": settings.fleet},
    )
