"""The configuration of a stack as the Pulumi CLI reads it, with each endpoint at the emulated AWS."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import yaml

from rehearsal.deployer.errors import DeployError, RefusedError, UnsupportedError

PROVIDER_SETTINGS = frozenset(
    {
        "accessKey",
        "allowedAccountIds",
        "defaultTags",
        "endpoints",
        "maxRetries",
        "region",
        "s3UsePathStyle",
        "secretKey",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
    }
)


@dataclass(frozen=True)
class Stack:
    """One stack. `main` is the program, a file or a folder. Structured values of `config` are JSON texts."""

    project: str
    name: str
    main: Path
    config: Mapping[str, str]


def read_stack(folder: Path, name: str, endpoint: str, given: Mapping[str, str] = MappingProxyType({})) -> Stack:
    """Read Pulumi.yaml and Pulumi.<name>.yaml of a project folder, with configuration `given` over the latter.

    Raise DeployError if a file is not valid.
    """
    project = _mapping(folder / "Pulumi.yaml")
    project_name = str(project.get("name") or "")
    if not project_name:
        raise DeployError(f"{folder / 'Pulumi.yaml'} gives the project no name; add `name:`")
    stack_file = folder / f"Pulumi.{name}.yaml"
    if not stack_file.exists():
        known = sorted(p.name.split(".")[1] for p in folder.glob("Pulumi.*.yaml"))
        raise DeployError(
            f"the stack {name!r} does not exist in {folder}; the stacks are: {', '.join(known) or 'none'}"
        )
    config = {**_defaults(project, project_name), **_config(_mapping(stack_file), project_name), **given}
    main = (folder / str(project.get("main", "."))).resolve()
    return Stack(project_name, name, main, redirected(config, endpoint))


def check_loopback(endpoint: str) -> None:
    """Raise RefusedError unless the endpoint is a plain HTTP address of this machine."""
    parts = urlsplit(endpoint)
    try:
        address = ipaddress.ip_address("127.0.0.1" if parts.hostname == "localhost" else parts.hostname or "")
        port = parts.port
    except ValueError:
        address, port = ipaddress.ip_address("0.0.0.0"), None
    if parts.scheme != "http" or port is None or not address.is_loopback:
        raise RefusedError(
            f"the endpoint {endpoint!r} is not on this machine; the embedded deployer only talks to an emulated AWS "
            "such as http://127.0.0.1:4566 (real accounts are deployed by `pulumi up`)"
        )


def setting(config: Mapping[str, Any], key: str) -> Any:
    """Return a structured value of the configuration, or None if it is not set."""
    value = config.get(key)
    return json.loads(value) if isinstance(value, str) else value


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise DeployError(f"{path} cannot be read ({error.strerror}); name the folder that holds Pulumi.yaml") from None
    except yaml.YAMLError as error:
        raise DeployError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise DeployError(f"{path} must hold keys and values, it holds {type(content).__name__}")
    return content


def _defaults(project: Mapping[str, Any], namespace: str) -> dict[str, str]:
    """Return the values that Pulumi.yaml gives each stack: `key: value`, `key: {value: …}` or `key: {default: …}`."""
    values = {}
    for key, declared in (project.get("config") or {}).items():
        if isinstance(declared, dict):
            declared = declared.get("value", declared.get("default"))
        if declared is not None:
            values[_qualified(key, namespace)] = _text(declared)
    return values


def _config(stack: Mapping[str, Any], namespace: str) -> dict[str, str]:
    values = {}
    for key, value in (stack.get("config") or {}).items():
        if isinstance(value, dict) and set(value) == {"secure"}:
            raise UnsupportedError(
                f"the configuration {key!r} is encrypted, and only the Pulumi CLI can read it; "
                "take the secret out of the stack that you rehearse"
            )
        values[_qualified(key, namespace)] = _text(value)
    return values


def _qualified(key: str, namespace: str) -> str:
    return key if ":" in key else f"{namespace}:{key}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), sort_keys=True)


def check_provider(settings: Mapping[str, Any], whose: str) -> None:
    """Refuse unknown settings of an AWS provider, and those with which it could reach a real account."""
    unknown = set(settings) - PROVIDER_SETTINGS
    if unknown:
        raise UnsupportedError(
            f"the configuration aws:{min(unknown)} of {whose} is unknown to the embedded deployer; "
            f"it knows {', '.join(sorted(PROVIDER_SETTINGS))}"
        )
    endpoints = setting(settings, "endpoints")
    if not endpoints or not settings.get("region"):
        raise RefusedError(
            f"{whose} sets no aws:endpoints or no aws:region, so its program would reach a real account; "
            "rehearse a stack whose endpoints are on this machine"
        )
    for group in endpoints:
        for url in group.values():
            check_loopback(url)


def redirected(config: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """Return the configuration with each service at the given endpoint. Refuse it if one was not on this machine."""
    check_loopback(endpoint)
    check_provider({k.removeprefix("aws:"): v for k, v in config.items() if k.startswith("aws:")}, "this stack")
    redirected = [dict.fromkeys(group, endpoint) for group in setting(config, "aws:endpoints")]
    return {**config, "aws:endpoints": json.dumps(redirected, separators=(",", ":"), sort_keys=True)}
