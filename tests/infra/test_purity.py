"""Pure modules import neither Pulumi nor boto3, directly or through other modules of infra."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from infra import PROJECT_ROOT
from infra.boot.artifact import INFRA_FILES

# Folders and single modules below infra/.
PURE = (
    "facts",
    "configuration",
    "planning",
    "boot",
    "components/policies.py",
    "components/role_policies.py",
)
AWS = {"pulumi", "pulumi_aws", "boto3"}


def modules(entry: str) -> list[Path]:
    path = PROJECT_ROOT / "infra" / entry
    return sorted(path.glob("*.py")) if path.is_dir() else [path]


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, and each name that may be a module of a package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def reached(path: Path) -> set[str]:
    """Return the top-level packages that this module imports, also through other modules of infra."""
    found, waiting, seen = set[str](), [path], set[Path]()
    while waiting:
        current = waiting.pop()
        seen.add(current)
        here = imports(current)
        found |= here
        inner = {PROJECT_ROOT / f"{name.replace('.', '/')}.py" for name in here if name.startswith("infra.")}
        waiting += [file for file in inner - seen if file.is_file()]
    return {name.split(".")[0] for name in found}


@pytest.mark.parametrize("entry", PURE)
def test_pure_modules_never_import_pulumi_or_boto(entry: str) -> None:
    impure = {path.name: sorted(reached(path) & AWS) for path in modules(entry)}
    assert {name: found for name, found in impure.items() if found} == {}


@pytest.mark.parametrize("file", [name for name in INFRA_FILES if name.endswith(".py")])
def test_carried_modules_need_only_the_standard_library(file: str) -> None:
    assert reached(PROJECT_ROOT / file) <= {*sys.stdlib_module_names, "infra"}
