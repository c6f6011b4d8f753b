"""The SDK warns about names of its own when a module of it is first used; those are not ours to mend."""

from __future__ import annotations

import warnings

import pulumi_aws as aws

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    # Modules of the SDK load when an attribute is first asked for.
    _LOADED = [
        aws.autoscaling.Group,
        aws.cloudwatch.MetricAlarm,
        aws.ec2.Vpc,
        aws.iam.Role,
        aws.lb.Listener,
        aws.s3.Bucket,
        aws.sns.Topic,
        aws.ssm.Parameter,
        aws.vpc.SecurityGroupIngressRule,
    ]
