"""
The whole page and the whole JSON of each stack's plan, so that no figure changes unseen.

After an intended change write them again and read the difference:
`vectorfleet plan --stack small | sed 's/ *$//' > tests/infra/plans/small.txt`, and with `--json` small.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.configuration.stack_file import stack_names
from vectorfleet.door import main

PLANS = Path(__file__).parent / "plans"


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["plan", *arguments])
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("stack", stack_names())
def test_the_page_of_a_stack(stack: str) -> None:
    page = printed("--stack", stack)
    wanted = (PLANS / f"{stack}.txt").read_text(encoding="utf-8")
    assert [line.rstrip() for line in page.splitlines()] == wanted.splitlines()


@pytest.mark.parametrize("stack", stack_names())
def test_the_json_of_a_stack(stack: str) -> None:
    plain = json.loads(printed("--stack", stack, "--json"))
    assert plain == json.loads((PLANS / f"{stack}.json").read_text(encoding="utf-8"))
