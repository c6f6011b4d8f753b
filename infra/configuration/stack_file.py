"""The configuration file of a stack, as a flat map of strings like the one that the Pulumi CLI passes to a program."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from infra import PROJECT_ROOT
from infra.configuration.stack_settings import NAMESPACE, ConfigError

NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)  # Pulumi's own rule


def project_name(root: Path = PROJECT_ROOT) -> str:
    """Return the name in Pulumi.yaml."""
    return str(yaml.safe_load((root / "Pulumi.yaml").read_text())["name"])


def stack_names(root: Path = PROJECT_ROOT) -> list[str]:
    """Return the stacks that have a configuration file."""
    return sorted(path.stem.removeprefix("Pulumi.") for path in root.glob("Pulumi.*.yaml"))


def stack_config(stack: str, root: Path = PROJECT_ROOT) -> dict[str, str]:
    """
    Return every key of `Pulumi.<stack>.yaml` with its namespace: values as strings, objects and lists as JSON.

    Raises ConfigError if the file is missing, cannot be read, or has an encrypted value.
    """
    if not NAME.fullmatch(stack):
        raise ConfigError(
            f"{stack!r} is not a stack name; allowed: 1 to 100 letters, digits, '.', '_' and '-'. The stacks here are "
            f"{', '.join(stack_names(root))}."
        )
    path = root / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"There is no stack {stack!r}; allowed: {', '.join(stack_names(root))}. "
            f"Write {path.name} beside Pulumi.yaml."
        )
    return {_qualified(path, key): _text(path, key, value) for key, value in _values(path).items()}


def own_values(config: dict[str, str]) -> dict[str, str]:
    """Return the keys of this program's namespace, without it."""
    prefix = f"{NAMESPACE}:"
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}


def is_rehearsed(config: Mapping[str, str]) -> bool:
    """Say whether a stack's AWS is emulated on this machine, by its endpoints or by the environment."""
    groups = json.loads(config.get("aws:endpoints", "[]"))
    urls = [url for group in groups for url in group.values()] or [os.environ.get("AWS_ENDPOINT_URL", "")]
    return all(map(is_loopback, urls))


def is_loopback(url: str) -> bool:
    """Say whether the address is one of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _values(path: Path) -> dict[object, object]:
    content = _content(path)
    values = content.get("config") if isinstance(content, dict) else content
    if values is None:
        return {}
    if not isinstance(content, dict) or not isinstance(values, dict):
        raise ConfigError(f"{path.name} has no map under `config:`; write one `key: value` per line there.")
    return values


def _content(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise ConfigError(f"{path.name} is nested too deeply; write one `key: value` per line.") from None
    except (yaml.YAMLError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{path.name} is not valid YAML: {said}. Correct the file.") from None


def _qualified(path: Path, key: object) -> str:
    if not isinstance(key, str):
        raise ConfigError(
            f"{path.name} has the key {key!r}; allowed are words such as `{NAMESPACE}:vectors`. Rename it."
        )
    return key if ":" in key else f"{project_name(path.parent)}:{key}"


def _text(path: Path, key: object, value: object) -> str:
    if isinstance(value, dict) and set(value) == {"secure"}:
        raise ConfigError(f"Configuration key {key} is encrypted; only the Pulumi CLI can read it.")
    if not isinstance(value, bool | dict | list):
        return str(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"Configuration key {key} in {path.name} is not valid JSON: {error}. Put dates in quotes."
        ) from None
