"""The pure modules know neither Pulumi nor AWS."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import infra

FOLDER = Path(infra.__file__).parent
PURE = (
    "alarm_table",
    "artifact",
    "capacity",
    "catalog",
    "config",
    "cost",
    "cron",
    "demand",
    "lock",
    "model_files",
    "naming",
    "operations.outputs",
    "operations.replicas",
    "operations.roll",
    "option",
    "placeholders",
    "placement",
    "plan",
    "policies",
    "refusals",
    "restore",
    "sizing",
    "slo",
    "snapshot",
    "stack",
    "user_data",
    "wheel_audit",
    "wheelhouse",
    "workload",
)
STANDARD_ONLY = ("sizing", "slo")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def reached(module: str) -> set[str]:
    """All that importing this module of infra imports, through other modules of infra."""
    found, waiting, seen = set[str](), [module], set[str]()
    while waiting:
        current = waiting.pop()
        seen.add(current)
        here = imports(_file(current))
        found |= here
        inner = {name.removeprefix("infra.") for name in here if name.startswith("infra.")}
        waiting += [name for name in inner - seen if _file(name).is_file()]
    return found


def _file(module: str) -> Path:
    return FOLDER / f"{module.replace('.', '/')}.py"


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_never_imports_pulumi_or_boto(module: str) -> None:
    assert not {name for name in reached(module) if name.split(".")[0] in ("pulumi", "pulumi_aws", "boto3")}


@pytest.mark.parametrize("module", STANDARD_ONLY)
def test_what_a_node_carries_needs_the_standard_library_only(module: str) -> None:
    assert {name.split(".")[0] for name in reached(module)} <= {
        "__future__",
        "collections",
        "dataclasses",
        "math",
        "typing",
    }
