"""User data of an instance, and the role manifest inside it.

The same bytes boot a machine on AWS, where cloud-init writes the manifest and runs the bootstrap. Here compute runs the
manifest itself.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

MANIFEST_PATH = "/etc/vectorfleet/role.json"
_HEADER = "#cloud-config"


class NotUnderstoodError(ValueError):
    """The user data is not a valid cloud-config with a role manifest; the message names the mistake."""


class Artifact(msgspec.Struct, frozen=True):
    """The object with a program or a model, and the digest that its zip must have."""

    bucket: str
    key: str
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The process of an instance: program, arguments, environment, and a custom embedding model if it has one."""

    artifact: Artifact
    argv: tuple[str, ...]
    environment: dict[str, str]
    model: Artifact | None = None

    @property
    def role(self) -> str:
        """Return the kind of process: node, router or indexer."""
        return self.environment.get("VECTORFLEET_ROLE", "unknown")

    @property
    def label(self) -> str:
        """Return the role, for a node with its shard and replica: `node-0a`."""
        cell = self.environment.get("VECTORFLEET_SHARD", "") + self.environment.get("VECTORFLEET_REPLICA", "")
        return f"{self.role}-{cell}" if cell else self.role


class _File(msgspec.Struct):
    path: str
    content: str = ""


class _CloudConfig(msgspec.Struct):
    write_files: list[_File] = []


def decode(user_data: str | None) -> str:
    """Decode user data from the base64 of the EC2 API. Raises NotUnderstoodError."""
    if not user_data:
        raise NotUnderstoodError("the instance has no user data.")
    try:
        return base64.b64decode(user_data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise NotUnderstoodError(f"the user data is not valid base64 text: {problem}") from None


def parse(text: str) -> Manifest:
    """Read the role manifest of a cloud-config with a JSON body. Raises NotUnderstoodError."""
    header, _, body = text.partition("\n")
    if header.strip() != _HEADER:
        raise NotUnderstoodError(f"the user data starts with {header[:40]!r}; its first line must be {_HEADER}.")
    try:
        files = msgspec.json.decode(body, type=_CloudConfig).write_files
        content = next(file.content for file in files if file.path == MANIFEST_PATH)
        manifest = msgspec.json.decode(content, type=Manifest)
    except StopIteration:
        raise NotUnderstoodError(f"the user data does not write {MANIFEST_PATH}.") from None
    except msgspec.MsgspecError as problem:
        raise NotUnderstoodError(f"the user data has no valid role manifest: {problem}") from None
    if not manifest.argv:
        raise NotUnderstoodError("the role manifest has an empty argv.")
    return manifest
