"""User data of an instance and the role manifest inside it.

The same bytes boot a machine on AWS: cloud-init writes the manifest and runs the bootstrap. Here the manifest
is read and run as it stands; nothing else may differ between the two.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

MANIFEST_PATH = "/etc/vectorfleet/role.json"
_HEADER = "#cloud-config"


class NotUnderstoodError(ValueError):
    """The user data is no cloud-config of the expected form; the message says what is wrong."""


class Artifact(msgspec.Struct, frozen=True):
    """Where the program lies, and the digest its zip must have."""

    bucket: str
    key: str
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What one instance runs: the program, its arguments, its environment, and the model where it embeds by one."""

    artifact: Artifact
    argv: tuple[str, ...]
    environment: dict[str, str]
    model: Artifact | None = None

    @property
    def role(self) -> str:
        """The process kind: node, router or indexer."""
        return self.environment.get("VECTORFLEET_ROLE", "unknown")

    @property
    def label(self) -> str:
        """Role, and for a node its shard and replica: `node-0a`."""
        cell = self.environment.get("VECTORFLEET_SHARD", "") + self.environment.get("VECTORFLEET_REPLICA", "")
        return f"{self.role}-{cell}" if cell else self.role


class _File(msgspec.Struct):
    path: str
    content: str = ""


class _CloudConfig(msgspec.Struct):
    write_files: list[_File] = []


def decode(user_data: str | None) -> str:
    """User data as text, from the base64 that the EC2 API answers with. Raises NotUnderstoodError."""
    if not user_data:
        raise NotUnderstoodError("the instance has no user data.")
    try:
        return base64.b64decode(user_data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise NotUnderstoodError(f"the user data is no base64 text: {problem}") from None


def parse(text: str) -> Manifest:
    """The role manifest of a cloud-config whose body is JSON. Raises NotUnderstoodError."""
    header, _, body = text.partition("\n")
    if header.strip() != _HEADER:
        raise NotUnderstoodError(f"the user data starts with {header[:40]!r}; its first line must be {_HEADER}.")
    try:
        files = msgspec.json.decode(body, type=_CloudConfig).write_files
        content = next(file.content for file in files if file.path == MANIFEST_PATH)
        manifest = msgspec.json.decode(content, type=Manifest)
    except StopIteration:
        raise NotUnderstoodError(f"the user data writes no {MANIFEST_PATH}.") from None
    except msgspec.MsgspecError as problem:
        raise NotUnderstoodError(f"the user data can't be read as a role manifest: {problem}") from None
    if not manifest.argv:
        raise NotUnderstoodError("the role manifest has an empty argv.")
    return manifest
