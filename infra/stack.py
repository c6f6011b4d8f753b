"""A stack's configuration file as the Pulumi CLI hands it to a program: one flat map of strings."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from infra.artifact import PROJECT_ROOT
from infra.config import NAMESPACE, ConfigError


def project_name(root: Path = PROJECT_ROOT) -> str:
    """The name in Pulumi.yaml."""
    return str(yaml.safe_load((root / "Pulumi.yaml").read_text())["name"])


def stack_names(root: Path = PROJECT_ROOT) -> list[str]:
    """Stacks that have a configuration file."""
    return sorted(path.stem.removeprefix("Pulumi.") for path in root.glob("Pulumi.*.yaml"))


def stack_config(stack: str, root: Path = PROJECT_ROOT) -> dict[str, str]:
    """
    Every key of `Pulumi.<stack>.yaml` with its namespace, values as strings, objects and lists as JSON.

    Raises ConfigError when there is no such file or it holds an encrypted value.
    """
    path = root / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"There is no stack {stack!r}; allowed: {', '.join(stack_names(root))}. "
            f"Write {path.name} beside Pulumi.yaml."
        )
    content = yaml.safe_load(path.read_text()) or {}
    return {_qualified(key): _text(key, value) for key, value in (content.get("config") or {}).items()}


def own_values(config: dict[str, str]) -> dict[str, str]:
    """The keys of this program's namespace, without it."""
    prefix = f"{NAMESPACE}:"
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}


def _qualified(key: str) -> str:
    return key if ":" in key else f"{project_name()}:{key}"


def _text(key: str, value: object) -> str:
    if isinstance(value, dict) and set(value) == {"secure"}:
        raise ConfigError(f"Configuration key {key} is encrypted; only the Pulumi CLI can read it.")
    if isinstance(value, bool | dict | list):
        return json.dumps(value)
    return str(value)
