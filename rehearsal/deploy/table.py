"""Every resource type the deployer can make."""

from __future__ import annotations

from collections.abc import Mapping

from rehearsal.deploy import (
    autoscaling,
    budgets,
    cloudwatch,
    dashboards,
    dns,
    ec2,
    elb,
    flowlogs,
    iam,
    kms,
    launchtemplate,
    logs,
    routing,
    s3,
    s3guards,
    s3objects,
    scaling,
    securitygroup,
    sns,
    ssm,
    subscriptions,
)
from rehearsal.deploy.errors import UnsupportedError
from rehearsal.deploy.kind import Kind

MODULES = (
    autoscaling,
    budgets,
    cloudwatch,
    dashboards,
    dns,
    ec2,
    elb,
    flowlogs,
    iam,
    kms,
    launchtemplate,
    logs,
    routing,
    s3,
    s3guards,
    s3objects,
    scaling,
    securitygroup,
    sns,
    ssm,
    subscriptions,
)
KINDS: Mapping[str, Kind] = {kind.token: kind for module in MODULES for kind in module.KINDS}


def kind_of(token: str) -> Kind:
    """The kind of a type token; UnsupportedError when the table has none."""
    try:
        return KINDS[token]
    except KeyError:
        raise UnsupportedError(
            f"the type {token} is not in the deployer's table; add it to a module under rehearsal/deploy "
            "or deploy the stack with the Pulumi CLI"
        ) from None
