"""API keys with their roles and rate limits, checked before a request's body is read."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client import Counter

from service.storage.objects import aws_client
from service.wire.problems import Problem

REFRESH_SECONDS = 5.0
# The shortest time between two readings of SSM for unknown keys.
PAUSE_SECONDS = 1.0
WAIT_SECONDS = 5.0
MOST_WAITING = 100
ROUNDING = 1e-9  # of a request: a caller that waited as long as it was told to is admitted
# For load balancers, which have no key, and for callers that look for the description.
OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/openapi.json"})
CARRIED = re.compile(r"(?i:bearer) +vf_(?P<name>[a-z0-9-]+)_(?P<secret>\S+)")
NOBODY = bytes(hashlib.sha256().digest_size)
REFUSED = Counter("vectorfleet_router_refused_total", "Requests refused by their head", ["reason"])
log = logging.getLogger(__name__)


class Role(IntEnum):
    """A role of a key; each includes those before it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


class KeyRecord(msgspec.Struct, frozen=True):
    """A key in its SecureString: `sha256` is the hex digest of its secret, which is stored nowhere."""

    role: str
    sha256: str
    requests_per_second: float | None = None


class Allowance:
    """A token bucket of `per_second` requests, with a burst of one second's requests, and at least one."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._most = max(per_second, 1.0)
        self._left, self._clock = self._most, clock
        self._seen = clock()

    def take(self) -> float:
        """Return 0.0 if the request may go on, else the seconds until one may."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._seen) * self.per_second)
        self._seen = now
        if self._left < 1 - ROUNDING:
            return (1 - self._left) / self.per_second
        self._left -= 1
        return 0.0


@dataclass(frozen=True)
class Key:
    """A key with its role, digest and rate limit."""

    role: Role
    digest: bytes
    allowance: Allowance | None


def key_of(record: KeyRecord) -> Key:
    """Return the key of a record; raise ValueError if the record is not valid."""
    digest = bytes.fromhex(record.sha256)
    rate = record.requests_per_second
    if len(digest) != len(NOBODY) or record.role.upper() not in Role.__members__ or (rate is not None and rate <= 0):
        raise ValueError("its role, digest or rate is not valid")
    return Key(Role[record.role.upper()], digest, None if rate is None else Allowance(rate))


def needed(method: str, path: str) -> Role:
    """Return the least role for a request. A look-up of documents only reads, although it is a POST."""
    if path.rstrip("/") in ("/v1/snapshots", "/v1/snapshots/verify", "/v1/undo") and method == "POST":
        return Role.ADMIN
    if path.startswith("/v1/collections/") and method in ("PUT", "DELETE"):
        return Role.ADMIN
    writes = path.rstrip("/") == "/v1/documents" or (path.startswith("/v1/documents/") and method == "DELETE")
    return Role.WRITE if writes else Role.READ


class Keys:
    """The keys of a router: `vf_<name>_<secret>` as a bearer token. A key's rate counts per router."""

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}
        self._keys: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, records: dict[str, KeyRecord]) -> None:
        """Replace all keys. A key with the same record keeps its used-up allowance."""
        keys = {}
        for name, record in records.items():
            try:
                known = self._records.get(name) == record and name in self._keys
                keys[name] = self._keys[name] if known else key_of(record)
            except ValueError as error:
                log.error("a key can't be used", extra={"key": name, "reason": str(error)})
        self._records, self._keys = records, keys

    def find(self, carried: re.Match[str]) -> Key | None:
        key = self._keys.get(carried["name"])
        # Also for an unknown name: the time must not tell which names exist.
        digest = hashlib.sha256(carried["secret"].encode()).digest()
        return key if hmac.compare_digest(digest, key.digest if key else NOBODY) else None


def carried(authorization: str) -> re.Match[str] | None:
    """Return the name and secret in an Authorization header with the form of a key."""
    return CARRIED.fullmatch(authorization.strip())


class Access:
    """
    Admission of requests by the keys that `read` returns. It is called every few seconds.

    A key is refused as unknown only after a reading that began after the request. A new key so works at once, at every
    router.
    """

    def __init__(self, read: Callable[[], dict[str, KeyRecord]], pause_seconds: float = PAUSE_SECONDS) -> None:
        self._read, self._pause_seconds = read, pause_seconds
        self._keys = Keys()
        # Numbers of readings: the one that began last, and the last that succeeded.
        self._begun = self._done = 0
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._news = asyncio.Condition()

    @property
    def loaded(self) -> bool:
        return self._done > 0

    async def run(self) -> None:
        """Read the keys again and again, for ever; the known keys stay while SSM gives no answer."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._pause_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_SECONDS - self._pause_seconds):
                    await self._wanted.wait()

    async def refresh(self) -> None:
        self._begun += 1
        self._wanted.clear()
        try:
            self._keys.replace(await asyncio.to_thread(self._read))
        except (BotoCoreError, ClientError) as error:
            log.warning("the keys can't be read; the known keys stay", extra={"reason": str(error)})
            if self._waiting:
                self._wanted.set()
            return
        async with self._news:
            self._done = self._begun
            self._news.notify_all()

    async def admit(self, method: str, path: str, authorization: str) -> None:
        """Raise Problem 401, 403, 429 or 503 unless the request may go on."""
        if path in OPEN_PATHS:
            return
        if not self.loaded:
            raise Problem(503, "the keys of the API are not read yet", retry_after_seconds=1)
        key = await self._known(authorization)
        if key is None:
            REFUSED.labels("key").inc()
            raise Problem(401, self._advice(authorization))
        _permit(key, method, path)

    async def _known(self, authorization: str) -> Key | None:
        token = carried(authorization)
        if token is None:
            return None
        if (key := self._keys.find(token)) is not None:
            return key
        await self._read_again()
        return self._keys.find(token)

    async def _read_again(self) -> None:
        """Wait for a reading that begins after now; raise Problem 429 or 503 if there is none in time."""
        number = self._begun + 1
        if self._waiting >= MOST_WAITING:
            REFUSED.labels("waiting").inc()
            raise Problem(
                429,
                "this key is not known, and too many requests wait for the keys to be read again",
                limit=MOST_WAITING,
                retry_after_seconds=1,
            )
        self._waiting += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._news:
                await self._news.wait_for(lambda: self._done >= number)
        except TimeoutError:
            REFUSED.labels("unread").inc()
            raise Problem(
                503, "this key is not known, and the keys can't be read again now", retry_after_seconds=1
            ) from None
        finally:
            self._waiting -= 1

    def _advice(self, authorization: str) -> str:
        make = "make one with `vectorfleet keys create`"
        if not self._keys:
            return f"the fleet has no keys yet; {make}"
        if not authorization:
            return f"this needs the header `Authorization: Bearer vf_…`; without a key, {make}"
        return f"this key is not known; {make}"


def _permit(key: Key, method: str, path: str) -> None:
    role = needed(method, path)
    if key.role < role:
        REFUSED.labels("role").inc()
        raise Problem(
            403, f"{method} {path} needs a key of role {role.name.lower()}, this one may {key.role.name.lower()}"
        )
    if key.allowance and (seconds := key.allowance.take()):
        REFUSED.labels("rate").inc()
        raise Problem(
            429,
            f"this key may send {key.allowance.per_second:g} requests a second",
            limit=key.allowance.per_second,
            retry_after_seconds=math.ceil(seconds),
        )


def read_records(prefix: str) -> dict[str, KeyRecord]:
    """Return records by name, without unreadable ones, which are logged; raise botocore's errors."""
    pages = aws_client("ssm").get_paginator("get_parameters_by_path").paginate(Path=prefix, WithDecryption=True)
    found = {}
    for item in (item for page in pages for item in page["Parameters"]):
        name = item["Name"].rsplit("/", 1)[1]
        try:
            found[name] = msgspec.json.decode(item["Value"], type=KeyRecord)
        except msgspec.MsgspecError:
            log.error("a key can't be read", extra={"key": name})
    return found
