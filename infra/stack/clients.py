"""Clients of the AWS that a stack is deployed on."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config

from infra.configuration.stack_file import is_loopback

ATTEMPTS = 5


def client(service: str, region: str, endpoint: str | None = None, attempts: int = ATTEMPTS) -> Any:
    """Make a boto3 client with short time-outs, so that no verb hangs on one call."""
    retries = {"total_max_attempts": attempts, "mode": "standard"}
    arguments: dict[str, Any] = {"config": Config(connect_timeout=5, read_timeout=20, retries=retries)}
    emulated = bool(endpoint and is_loopback(endpoint))
    if emulated and "AWS_ACCESS_KEY_ID" not in os.environ:
        # The emulated AWS takes any key.
        arguments |= {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    made = boto3.client(service, region, endpoint_url=endpoint, **arguments)
    if emulated and service == "s3control":
        made.meta.events.register("before-sign.s3-control", without_account)
    return made


def without_account(request: Any, **_: Any) -> None:
    """Leave the account out of the host: S3 Control has a name for each, a loopback address has none."""
    scheme, _, rest = request.url.partition("://")
    request.url = f"{scheme}://{rest.removeprefix(request.headers['x-amz-account-id'] + '.')}"
