"""The one account of the emulated AWS: its id, its main region, its credentials and its clients."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

ACCOUNT = "123456789012"
REGION = "us-east-1"
ACCESS_KEY = SECRET_KEY = "test"


def client(service: str, endpoint: str, *, read_seconds: float, attempts: int) -> Any:
    """Return a boto3 client of the emulated AWS for the processes that are part of it."""
    config = Config(
        connect_timeout=2, read_timeout=read_seconds, retries={"mode": "standard", "total_max_attempts": attempts}
    )
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    return session.client(service, endpoint_url=endpoint, config=config)
