"""The monthly budget of the fleet, and its alerts."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.configuration.settings import Settings

WARN_PERCENT = 80


def budget(
    settings: Settings, usd: float, topic: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> aws.budgets.Budget:
    """Register a monthly budget of the fleet's tag, which must be activated as a cost allocation tag."""
    return aws.budgets.Budget(
        settings.fleet,
        name=f"vectorfleet-{settings.fleet}",
        budget_type="COST",
        limit_amount=f"{usd:g}",
        limit_unit="USD",
        time_unit="MONTHLY",
        cost_filters=[{"name": "TagKeyValue", "values": [f"user:vectorfleet:fleet${settings.fleet}"]}],
        notifications=[
            {
                "comparison_operator": "GREATER_THAN",
                "threshold": threshold,
                "threshold_type": "PERCENTAGE",
                "notification_type": kind,
                "subscriber_sns_topic_arns": [topic],
            }
            for kind, threshold in (("ACTUAL", WARN_PERCENT), ("FORECASTED", 100))
        ],
        opts=opts,
    )
