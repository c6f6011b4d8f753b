"""Pulumi's nested properties as the parameters of an AWS API call, checked against the call's own model.

Pulumi writes `httpTokens`, the API `HttpTokens`: most names differ in their first letter only, the rest is given
by the caller. A name that the API's model does not have is an error, so nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rehearsal.deploy.errors import UnsupportedError


def parameters(
    client: Any, operation: str, properties: Mapping[str, Any], renames: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The keyword arguments of `operation` for these properties.

    `renames` maps a path of Pulumi names without indices ("blockDeviceMappings.ebs") or a bare name to the API's
    name. Raises UnsupportedError with the path of a property that the API does not have.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    return dict(_structure(dict(properties), shape, renames or {}, ""))


def _structure(value: Mapping[str, Any], shape: Any, renames: Mapping[str, str], path: str) -> dict[str, Any]:
    converted = {}
    for key, item in value.items():
        at = f"{path}.{key}" if path else key
        member = renames.get(at) or renames.get(key) or key[0].upper() + key[1:]
        if member not in shape.members:
            raise UnsupportedError(f"property {at} is unknown to {shape.name} of the AWS API; take it out or rename it")
        converted[member] = _convert(item, shape.members[member], renames, at)
    return converted


def _convert(value: Any, shape: Any, renames: Mapping[str, str], path: str) -> Any:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return _structure(value, shape, renames, path)
    if shape.type_name == "list":
        return _list(value, shape, renames, path)
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {str(key): _convert(item, shape.value, renames, path) for key, item in value.items()}
    return _scalar(value, shape.type_name, path)


def _list(value: Any, shape: Any, renames: Mapping[str, str], path: str) -> list[Any]:
    members = getattr(shape.member, "members", {})
    label = next((name for name in ("Key", "Name") if {name, "Value"} == set(members)), None)
    if isinstance(value, Mapping) and label is not None:
        return [{label: key, "Value": str(item)} for key, item in sorted(value.items())]
    if isinstance(value, list):
        return [_convert(item, shape.member, renames, path) for item in value]
    raise UnsupportedError(f"property {path} must be a list, it is {value!r}")


def _scalar(value: Any, wanted: str, path: str) -> Any:
    if isinstance(value, (list, Mapping)) or value is None:
        raise UnsupportedError(f"property {path} must be one {wanted}, it is {value!r}")
    if wanted == "boolean":
        return _boolean(value, path)
    if wanted in ("integer", "long"):
        return int(value)
    if wanted in ("float", "double"):
        return float(value)
    if wanted == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _boolean(value: Any, path: str) -> bool:
    # Terraform's schema has texts where "unset" must differ from false.
    if str(value).lower() not in ("true", "false"):
        raise UnsupportedError(f"property {path} must be true or false, it is {value!r}")
    return str(value).lower() == "true"
