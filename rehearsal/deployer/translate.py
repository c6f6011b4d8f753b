"""Translation of Pulumi's nested properties into the parameters of an AWS operation, by botocore's shapes.

Pulumi writes `httpTokens`, the API `HttpTokens`: most names differ in their first letter only. The caller renames the
others. A name that the shape lacks is an error, so no property is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from rehearsal.deployer.errors import UnsupportedError

# Keys of the pairs with which the API writes a map as a list.
PAIRS = (("Key", "Value"), ("Name", "Value"), ("TagKey", "TagValue"))


def member(key: str, path: str, renames: Mapping[str, str], members: Container[str]) -> str:
    """Return the API's name of the property `key` at `path`."""
    return renames.get(path) or renames.get(f"*.{key}") or (key if key in members else f"{key[0].upper()}{key[1:]}")


def parameters(
    client: Any, operation: str, properties: Mapping[str, Any], renames: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the keyword arguments of `operation` for these properties.

    `renames` maps a path of Pulumi names without indices, such as "blockDeviceMappings.ebs", to the API's name.
    "*.id" renames `id` at any depth. Raise UnsupportedError with the path of a property that the API lacks.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    return dict(_structure(dict(properties), shape, renames or {}, ""))


def _structure(value: Mapping[str, Any], shape: Any, renames: Mapping[str, str], path: str) -> dict[str, Any]:
    converted = {}
    for key, item in value.items():
        at = f"{path}.{key}" if path else key
        name = member(key, at, renames, shape.members)
        if name not in shape.members:
            raise UnsupportedError(f"property {at} is unknown to {shape.name} of the AWS API; take it out or rename it")
        converted[name] = _convert(item, shape.members[name], renames, at)
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
    members = set(getattr(shape.member, "members", {}))
    pair = next((pair for pair in PAIRS if set(pair) == members), None)
    if isinstance(value, Mapping) and pair is not None:
        return [{pair[0]: key, pair[1]: str(item)} for key, item in sorted(value.items())]
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
    # Terraform's schema has texts for values that differ from false when they are not set.
    if str(value).lower() not in ("true", "false"):
        raise UnsupportedError(f"property {path} must be true or false, it is {value!r}")
    return str(value).lower() == "true"
