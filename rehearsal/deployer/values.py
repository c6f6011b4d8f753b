"""Property values of the Pulumi runtime as plain Python values, without unknowns and secrets."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

from rehearsal.deployer.errors import DeployError, UnsupportedError
from rehearsal.deployer.state import Properties

SIGNATURE = rpc._special_sig_key
ASSET = rpc._special_asset_sig
SECRET = rpc._special_secret_sig
RESOURCE = rpc._special_resource_sig
UNKNOWN: str = rpc.UNKNOWN


def plain(fields: Mapping[str, Any], *, keep_unknown: bool = False, veiled: frozenset[str] = frozenset()) -> Properties:
    """Return the properties of a request as Python values, without nulls, as the engine does.

    `veiled` names the properties that the provider's SDK always marks as secret.

    Raise DeployError for an unknown value, UnsupportedError for secrets and remote assets.
    """
    shown = {key: _unveiled(value) if key in veiled else value for key, value in fields.items()}
    converted = {key: _value(value, key, keep_unknown) for key, value in shown.items()}
    return {key: value for key, value in converted.items() if value is not None}


def struct(properties: Properties) -> struct_pb2.Struct:
    """Return properties as an answer has them."""
    message = struct_pb2.Struct()
    message.update(properties)
    return message


def contains_unknown(value: object) -> bool:
    """Tell whether a plain value holds the runtime's mark of an unknown value."""
    if isinstance(value, dict):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    return value == UNKNOWN


def _unveiled(value: Any) -> Any:
    secret = isinstance(value, struct_pb2.Struct) and dict(value).get(SIGNATURE) == SECRET
    return value["value"] if secret else value


def _value(value: Any, path: str, keep_unknown: bool) -> Any:
    if isinstance(value, struct_pb2.Struct):
        return _structure(value, path, keep_unknown)
    if isinstance(value, struct_pb2.ListValue):
        return [_value(item, f"{path}[{i}]", keep_unknown) for i, item in enumerate(value)]
    if value == UNKNOWN and not keep_unknown:
        raise DeployError(
            f"property {path} is not known: an output that the deployer does not model is part of it; "
            "add that output to the table of its type under rehearsal/deployer"
        )
    # Protobuf has doubles only, so an integer arrives as 4.0.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _structure(value: struct_pb2.Struct, path: str, keep_unknown: bool) -> Any:
    signature = dict(value).get(SIGNATURE)
    if signature is None:
        return {
            key: converted
            for key, item in value.items()
            if (converted := _value(item, f"{path}.{key}", keep_unknown)) is not None
        }
    if signature == SECRET:
        raise UnsupportedError(
            f"property {path} is a secret, and the embedded deployer keeps its state as plain text; "
            "let the program name the parameter and write its value by a verb"
        )
    if signature == RESOURCE:
        return _value(dict(value).get("id") or dict(value)["urn"], path, keep_unknown)
    if signature == ASSET:
        return _asset(dict(value), path)
    raise UnsupportedError(f"property {path} is an archive or another special value; use a file or a text")


def _asset(fields: Properties, path: str) -> Properties:
    """Return an asset with the hash of its content, so that a file may move without a change."""
    if fields.get("path"):
        file = Path(str(fields["path"])).resolve()
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DeployError(
                f"property {path} names the file {file}, which cannot be read ({error.strerror})"
            ) from None
        return {"sha256": hashlib.sha256(content).hexdigest(), "path": str(file)}
    if fields.get("text") is not None:
        content = str(fields["text"]).encode()
        return {"sha256": hashlib.sha256(content).hexdigest(), "base64": base64.b64encode(content).decode()}
    raise UnsupportedError(f"property {path} is a remote asset, which is never fetched; use a file or a text")


def asset_bytes(asset: Properties) -> bytes:
    """Return the content of an asset. Raise DeployError if its hash is not the registered one."""
    content = base64.b64decode(asset["base64"]) if "base64" in asset else Path(asset["path"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != asset["sha256"]:
        raise DeployError(f"the file {asset.get('path')} changed while it was deployed; run again")
    return content
