"""The AWS modules of Pulumi's SDK, loaded once without the deprecation warnings of the SDK itself."""

from __future__ import annotations

import warnings

import pulumi_aws as aws

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    # The SDK loads a module on the first access to an attribute.
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
