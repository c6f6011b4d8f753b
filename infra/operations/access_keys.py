"""
Keys of the API: one SecureString each, below a prefix that only routers may read.

A parameter holds the digest of a key's secret, its role and its rate. The key itself is shown once and stored nowhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from infra.stack.outputs import Fleet

ROLES = ("read", "write", "admin")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
SECRET_BYTES = 32


class AccessKeyError(Exception):
    """A key can't be created or revoked; the message says what to do."""


@dataclass(frozen=True)
class AccessKey:
    """A key without its secret; `requests_per_second` is its limit at each router, None without one."""

    name: str
    role: str
    requests_per_second: float | None
    created: str


class AccessKeys:
    """The keys of a deployed stack."""

    def __init__(self, stack: Fleet) -> None:
        self._ssm = stack.aws("ssm")
        self._prefix = stack.access_keys

    def create(self, name: str, role: str, requests_per_second: float | None = None) -> str:
        """Create a key and return it; AWS keeps a digest. Raises AccessKeyError for a taken or invalid name."""
        if not NAME.fullmatch(name):
            raise AccessKeyError(
                f"{name!r} is not a valid name; allowed are 1 to 32 lower-case letters, digits and hyphens, no "
                "hyphen first."
            )
        secret = secrets.token_urlsafe(SECRET_BYTES)
        record = {
            "role": role,
            "sha256": hashlib.sha256(secret.encode()).hexdigest(),
            "requests_per_second": requests_per_second,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            self._ssm.put_parameter(
                Name=self._parameter(name),
                Value=json.dumps(record),
                # Under the account's own key for SSM: a key of the stack goes with it, and then nothing below the
                # prefix could be read.
                Type="SecureString",
                Overwrite=False,
            )
        except self._ssm.exceptions.ParameterAlreadyExists:
            raise AccessKeyError(
                f"A key {name} exists already; take another name, or revoke it first with `keys revoke {name}`."
            ) from None
        return f"vf_{name}_{secret}"

    def listed(self) -> list[AccessKey]:
        """Return all keys, by name."""
        pages = self._ssm.get_paginator("get_parameters_by_path").paginate(Path=self._prefix, WithDecryption=True)
        items = [item for page in pages for item in page["Parameters"]]
        return sorted((_read(item) for item in items), key=lambda key: key.name)

    def revoke(self, name: str) -> None:
        """Revoke a key; routers know within seconds. Raises AccessKeyError for an unknown name."""
        try:
            self._ssm.delete_parameter(Name=self._parameter(name))
        except self._ssm.exceptions.ParameterNotFound:
            known = ", ".join(key.name for key in self.listed()) or "none"
            raise AccessKeyError(f"There is no key {name}; the keys are {known}.") from None

    def revoke_all(self) -> list[str]:
        """Revoke every key, and return their names."""
        names = [key.name for key in self.listed()]
        for name in names:
            self.revoke(name)
        return names

    def _parameter(self, name: str) -> str:
        return f"{self._prefix}/{name}"


def _read(item: dict[str, Any]) -> AccessKey:
    record = json.loads(item["Value"])
    return AccessKey(
        item["Name"].rsplit("/", 1)[1], record["role"], record.get("requests_per_second"), record.get("created", "")
    )


def to_json(keys: list[AccessKey]) -> list[dict[str, Any]]:
    """Return the keys as plain data."""
    return [asdict(key) for key in keys]
