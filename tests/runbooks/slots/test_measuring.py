"""The measurements of a verification: a slot that ends is refused, and options of the gate reach it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runbooks.slots import measuring
from runbooks.slots.measuring import Effort, check_current, check_load
from runbooks.slots.seen import SlotView
from runbooks.verb_call import VerbAnswer
from tests.stack_outputs import a_stack
from vectorfleet.verdicts import Verdict


def test_a_slot_of_a_past_position_is_never_verified() -> None:
    slot = SlotView("green", 0, 2, 2, {"until": 41}, None)
    check = check_current(slot)
    assert check.verdict is Verdict.FAIL
    assert "ends at documents position 41" in check.sentence


def test_options_of_the_gate_come_behind_those_of_the_short_load(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Sequence[str]] = []

    def call(command: Sequence[str], **_: Any) -> VerbAnswer:
        called.append(command)
        return VerbAnswer(0, {"verdict": "PASS", "sentences": ["Good.", "Fast."]}, "")

    monkeypatch.setattr(measuring, "call", call)
    stack = a_stack(outputs=Path("o.json"), retrieval_p95_ms={"blue": 50.0, "green": 900.0})
    check = check_load(stack, "green", Effort(load=("--rate", "40")))
    assert (check.verdict, check.sentence) == (Verdict.PASS, "Good. Fast.")
    (words,) = called
    assert [words[at + 1] for at, word in enumerate(words) if word == "--rate"] == ["10", "40"]
    assert words[words.index("--slot") + 1] == "green"
    assert [words[words.index(name) + 1] for name in ("--p95-target-ms", "--alert-ms")] == ["900", "900"]


@pytest.mark.parametrize("found", [None, {}, {"verdict": "PERHAPS", "sentences": []}, {"verdict": "PASS"}])
def test_a_load_without_a_verdict_is_void(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None) -> None:
    monkeypatch.setattr(measuring, "call", lambda *_, **__: VerbAnswer(64, found, "exit code 64, no such option"))
    check = check_load(a_stack(outputs=Path("o.json")), "green", Effort())
    assert (check.verdict, "no such option" in check.sentence) == (Verdict.VOID, True)
