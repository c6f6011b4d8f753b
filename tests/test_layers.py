"""Imports go one way: `rehearsal → runbooks, loadtests → service → infra → vectorfleet`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from infra.artifact import PACKAGES, sources
from tests.pages import ROOT

# What each part may import beside itself.
BELOW = {
    "vectorfleet": set[str](),
    "infra": {"vectorfleet"},
    "policypack": {"infra"},
    "service": {"infra", "vectorfleet"},
    "loadtests": {"service", "infra", "vectorfleet"},
    "runbooks": {"service", "infra", "vectorfleet"},
    "rehearsal": {"runbooks", "loadtests", "service", "infra", "vectorfleet"},
    "benchmarks": {"rehearsal", "loadtests", "service", "infra", "vectorfleet"},
}


def imported(path: Path) -> set[str]:
    """The parts of the project that a file imports, anywhere in it."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.split(".")[0] for name in found} & BELOW.keys()


@pytest.mark.parametrize("part", BELOW)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    above = {path.relative_to(ROOT).as_posix(): imported(path) for path in (ROOT / part).rglob("*.py")}
    assert {path: names for path, names in above.items() if names - BELOW[part] - {part}} == {}


def test_an_instance_carries_every_part_that_its_code_imports() -> None:
    wanted = {name for path in sources() if path.endswith(".py") for name in imported(ROOT / path)}
    assert wanted <= {*PACKAGES, "infra"}
