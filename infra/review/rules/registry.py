"""Every rule, in the order in which docs/rules.md lists them."""

from __future__ import annotations

from infra.review.rules import (
    alarms,
    balancers,
    buckets,
    firewall,
    groups,
    iam,
    instances,
    keys,
    logs,
    network,
    parameters,
    placement,
    protection,
    retention,
    topics,
)

RULES = (
    *buckets.RULES,
    *retention.RULES,
    *keys.RULES,
    *protection.RULES,
    *instances.RULES,
    *groups.RULES,
    *placement.RULES,
    *firewall.RULES,
    *balancers.RULES,
    *network.RULES,
    *iam.RULES,
    *parameters.RULES,
    *topics.RULES,
    *alarms.RULES,
    *logs.RULES,
)
