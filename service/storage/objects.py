"""A bucket with conditional writes: the only primitive that the logs, claims and slot pointers need.

Failures::

    StoreError
    ├── NoSuchKey             the key does not exist (404)
    ├── PreconditionFailed    the condition did not hold (412): another writer's object exists
    └── Unanswered            409, 5xx, time-out, broken connection: the write may or may not have happened
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

CONNECT_TIMEOUT_SECONDS = 2.0
READ_TIMEOUT_SECONDS = 10.0
READ_ATTEMPTS = 4
BLOCK_BYTES = 1 << 20
POOL_CONNECTIONS = 32


class StoreError(Exception):
    """The store did not do what was requested."""


class NoSuchKey(StoreError):
    """There is no object of that key."""


class PreconditionFailed(StoreError):
    """The condition of a conditional write did not hold."""


class Unanswered(StoreError):
    """It is unknown whether the write happened."""


class StoredObject(NamedTuple):
    """An object's body and the etag that a conditional replace names."""

    body: bytes
    etag: str


class StoreClock:
    """The store's own time, carried forward by a monotonic clock, so that no machine's clock decides anything."""

    def __init__(self) -> None:
        self._offset_ms: float | None = None

    def observe(self, http_date: str) -> None:
        """Take the `Date` header of an answer as the present."""
        self._offset_ms = parsedate_to_datetime(http_date).timestamp() * 1000 - time.monotonic() * 1000

    def now_ms(self) -> int:
        """Return milliseconds since 1970 by the store's clock; by this machine's before the first answer."""
        if self._offset_ms is None:
            return int(time.time() * 1000)
        return int(time.monotonic() * 1000 + self._offset_ms)


def aws_client(service: str, *, attempts: int = READ_ATTEMPTS) -> Any:
    """Return a boto3 client with short time-outs; region, endpoint and credentials come from the environment."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        max_pool_connections=POOL_CONNECTIONS,
        retries={"total_max_attempts": attempts, "mode": "standard"},
    )
    # Of AWS's tools, only boto3 ignores AWS_REGION and reads AWS_DEFAULT_REGION.
    return boto3.client(service, config=config, region_name=os.environ.get("AWS_REGION"))


class ObjectStore:
    """One bucket. Calls block: async code runs them in a thread."""

    def __init__(self, bucket: str, connect: Callable[..., Any] = aws_client) -> None:
        """Connect; `connect` makes a client of a service, as `aws_client` does."""
        self.bucket = bucket
        self.clock = StoreClock()
        self._reads = connect("s3")
        # The SDK's own retry of a conditional write would meet its own success as a 412.
        self._writes = connect("s3", attempts=1)

    def create(self, key: str, body: bytes) -> str:
        """Store a new object and return its etag; raise PreconditionFailed if the key is taken."""
        return self._put(key, body, {"IfNoneMatch": "*"})

    def replace(self, key: str, body: bytes, etag: str) -> str:
        """Replace exactly the object that `etag` names, and return the new etag."""
        return self._put(key, body, {"IfMatch": etag})

    def _put(self, key: str, body: bytes, condition: dict[str, str]) -> str:
        try:
            answer = self._writes.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)
        except (ClientError, BotoCoreError) as error:
            raise _failure(error, f"put s3://{self.bucket}/{key}") from error
        return self._etag(answer)

    def _etag(self, answer: Any) -> str:
        self.clock.observe(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return str(answer["ETag"])

    def get(self, key: str) -> StoredObject:
        try:
            answer = self._reads.get_object(Bucket=self.bucket, Key=key)
            body = answer["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise _failure(error, f"get s3://{self.bucket}/{key}") from error
        return StoredObject(body, self._etag(answer))

    def part(self, key: str, start: int, end: int | None = None) -> bytes:
        """Read the bytes [start, end) of an object; fewer, or none, if it is shorter."""
        last = "" if end is None else end - 1
        try:
            body: bytes = self._reads.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-{last}")[
                "Body"
            ].read()
        except (ClientError, BotoCoreError) as error:
            if _status_of(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return b""
            raise _failure(error, f"get s3://{self.bucket}/{key}") from error
        return body

    def blocks(self, key: str) -> Iterator[bytes]:
        """Read an object block by block, for one that may be larger than memory."""
        try:
            body = self._reads.get_object(Bucket=self.bucket, Key=key)["Body"]
            with closing(body):
                yield from body.iter_chunks(BLOCK_BYTES)
        except (ClientError, BotoCoreError) as error:
            raise _failure(error, f"get s3://{self.bucket}/{key}") from error

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield every key below a prefix, in order, after the key `after`; one request for each thousand."""
        listing = {"Bucket": self.bucket, "Prefix": prefix} | ({"StartAfter": after} if after else {})
        try:
            for page in self._reads.get_paginator("list_objects_v2").paginate(**listing):
                yield from (item["Key"] for item in page.get("Contents", ()))
        except (ClientError, BotoCoreError) as error:
            raise _failure(error, f"list s3://{self.bucket}/{prefix}") from error

    def upload(self, path: Path, key: str) -> None:
        """Upload a file under a key that no other process writes; multipart if it is large."""
        self._transfer(self._reads.upload_file, str(path), self.bucket, key)

    def download(self, key: str, path: Path) -> None:
        """Download an object into a file."""
        self._transfer(self._reads.download_file, self.bucket, key, str(path))

    def _transfer(self, move: Any, *arguments: str) -> None:
        try:
            move(*arguments)
        except (ClientError, BotoCoreError, boto3.exceptions.Boto3Error) as error:
            raise _failure(error, f"transfer of s3://{self.bucket}: {' '.join(arguments)}") from error

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it does not exist."""
        try:
            self._reads.delete_object(Bucket=self.bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise _failure(error, f"delete s3://{self.bucket}/{key}") from error


def _status_of(error: Exception) -> int:
    """Return the HTTP status of an SDK error; 0 if there was no answer."""
    response = error.response if isinstance(error, ClientError) else {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _failure(error: Exception, what: str) -> StoreError:
    """Return the StoreError that an SDK error stands for."""
    if not isinstance(error, ClientError):
        return Unanswered(f"{what}: {error}")
    status = _status_of(error)
    code = error.response.get("Error", {}).get("Code", "")
    if status == 404 and code != "NoSuchBucket":
        return NoSuchKey(f"{what}: no such key")
    if status == 412:
        return PreconditionFailed(f"{what}: the condition did not hold")
    if status in (409, 429) or status >= 500 or status == 0:
        return Unanswered(f"{what}: {status} {code}")
    return StoreError(f"{what}: {status} {code}: {error.response.get('Error', {}).get('Message', '')}")
