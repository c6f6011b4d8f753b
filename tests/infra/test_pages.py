"""
The whole page and the whole JSON of each stack, as a person and a program read them: no figure changes unseen.

After a change that is meant, write them anew and read the difference:
`python -m infra plan --stack small | sed 's/ *$//' > tests/infra/plans/small.txt`, and with `--json` small.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from infra.cli import main
from infra.stack import stack_names

PLANS = Path(__file__).parent / "plans"


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["infra", "plan", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("stack", stack_names())
def test_the_page_of_a_stack(stack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(monkeypatch, capsys, "--stack", stack)
    wanted = (PLANS / f"{stack}.txt").read_text(encoding="utf-8")
    assert [line.rstrip() for line in page.splitlines()] == wanted.splitlines()


@pytest.mark.parametrize("stack", stack_names())
def test_the_json_of_a_stack(stack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plain = json.loads(printed(monkeypatch, capsys, "--stack", stack, "--json"))
    assert plain == json.loads((PLANS / f"{stack}.json").read_text(encoding="utf-8"))
