"""Every rule has both cases, known tokens and its line in the docs; none of them needs Pulumi."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import infra.review.rules
from infra.review.recording import output_names
from infra.review.rules import tokens
from infra.review.rules.graph import Graph
from infra.review.rules.registry import RULES
from infra.review.rules.rule import Rule, findings
from tests.infra.review.rules.cases import Case, made
from tests.pages import rows, text

FOLDER = Path(infra.review.rules.__file__).parent
MODULES = {path.stem for path in FOLDER.glob("*.py") if "\nRULES = (" in path.read_text()} - {"registry"}
RECORDING = {"review", "report"}  # these record a stack and print
TOKENS = {name: token for name, token in vars(tokens).items() if name.isupper()}


def cases() -> Iterator[Case]:
    for module in sorted(MODULES):
        yield from importlib.import_module(f"tests.infra.review.rules.test_{module}").CASES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_seen_to_find_and_to_find_nothing(rule: Rule) -> None:
    assert {bool(case.says) for case in cases() if case.rule == rule.id} == {True, False}


def test_ids_are_unique_and_kebab_case() -> None:
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
    assert [one for one in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", one)] == []


def test_every_module_of_rules_is_registered() -> None:
    registered = {getattr(rule.check, "__module__", "").rsplit(".", 1)[1] for rule in RULES}
    assert registered == MODULES


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
def test_the_sdk_knows_every_token(token: str) -> None:
    assert output_names(token)


def test_types_that_no_rule_knows_are_ignored() -> None:
    strangers = Graph((made("aws:sqs/queue:Queue"), made("random:index:Id")))
    assert list(findings(strangers, RULES)) == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_rules_need_the_standard_library_only(path: Path) -> None:
    """The policy pack runs them in an environment of its own."""
    ours = {f"infra.review.rules.{one.stem}" for one in FOLDER.glob("*.py") if one.stem not in RECORDING}
    allowed = {"infra.review.rules", "infra", *ours}
    others = {name for name in imported(path) if name.split(".")[0] not in sys.stdlib_module_names}
    assert others <= allowed or path.stem in RECORDING


def imported(path: Path) -> Iterator[str]:
    """Return the imports of a module at run time; what it imports for types alone stands in an `if`."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_docs_list_every_rule() -> None:
    written = [tuple(row) for row in rows(text("docs/rules.md")) if len(row) == 3 and row[0].startswith("`")]
    assert written == [(f"`{rule.id}`", rule.demand, ", ".join(rule.sources) or "own") for rule in RULES]
