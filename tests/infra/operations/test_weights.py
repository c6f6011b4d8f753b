"""Weights are moved to slots that can serve, and to no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from infra.operations.weights import Listener, WeightsError
from infra.stack.outputs import Fleet
from tests.stack_outputs import a_stack, written
from vectorfleet.door import main

GROUPS = {"blue": "arn:blue", "green": "arn:green"}
STACK = a_stack(target_groups=GROUPS)


class Balancers:
    """A load balancer's API with one listener."""

    def __init__(self, *, blue: int, green: int) -> None:
        self.weights = {"arn:blue": 100, "arn:green": 0}
        self.healthy = {"arn:blue": blue, "arn:green": green}
        self.moves = 0

    def describe_listeners(self, ListenerArns: list[str]) -> Any:  # noqa: N803
        assert ListenerArns == ["arn:listener"]
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in self.weights.items()]
        return {"Listeners": [{"DefaultActions": [{"ForwardConfig": {"TargetGroups": groups}}]}]}

    def describe_target_health(self, TargetGroupArn: str) -> Any:  # noqa: N803
        states = ["healthy"] * self.healthy[TargetGroupArn] + ["unhealthy"]
        return {"TargetHealthDescriptions": [{"TargetHealth": {"State": state}} for state in states]}

    def modify_listener(self, ListenerArn: str, DefaultActions: list[Any]) -> None:  # noqa: N803
        (action,) = DefaultActions
        self.moves += 1
        self.weights = {row["TargetGroupArn"]: row["Weight"] for row in action["ForwardConfig"]["TargetGroups"]}


def balancers(monkeypatch: pytest.MonkeyPatch, *, blue: int = 2, green: int = 2) -> Balancers:
    made = Balancers(blue=blue, green=green)
    monkeypatch.setattr(Fleet, "aws", lambda stack, service: made)
    return made


def test_both_slots_are_seen_with_their_health(monkeypatch: pytest.MonkeyPatch) -> None:
    balancers(monkeypatch, blue=2, green=0)
    blue, green = Listener(STACK).slots()
    assert (blue.name, blue.weight, blue.healthy, blue.targets) == ("blue", 100, 2, 3)
    assert (green.name, green.weight, green.healthy, green.targets) == ("green", 0, 0, 1)


def test_weights_move_and_the_same_again_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = balancers(monkeypatch)
    listener = Listener(STACK)
    for _ in range(2):
        assert [slot.weight for slot in listener.move({"blue": 90, "green": 10})] == [90, 10]
    assert (made.moves, made.weights) == (1, {"arn:blue": 90, "arn:green": 10})


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"blue": 0, "green": 0}, "nobody would serve"),
        ({"blue": 50, "green": 50}, "Slot green has no healthy target of 1"),
    ],
)
def test_nobody_is_sent_where_nobody_serves(
    monkeypatch: pytest.MonkeyPatch, wanted: dict[str, int], sentence: str
) -> None:
    made = balancers(monkeypatch, green=0)
    with pytest.raises(WeightsError, match=sentence):
        Listener(STACK).move(wanted)
    assert made.moves == 0
    # Away from a slot that is ill weights may always go.
    assert [slot.weight for slot in Listener(STACK).move({"blue": 1, "green": 0})] == [1, 0]


def test_the_verb_shows_moves_and_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    balancers(monkeypatch, green=0)
    path = str(written(tmp_path, **{"target_groups": GROUPS, "listener_arn": "arn:listener"}))

    def call(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["weights", "--outputs", path, *words])
        return result.exit_code, result.output

    code, shown = call("--json")
    assert (code, [row["weight"] for row in json.loads(shown)]) == (0, [100, 0])
    assert "2 of 3" in call()[1]
    assert call("--blue", "7", "--green", "0")[0] == 0
    assert json.loads(call("--json")[1])[0]["weight"] == 7
    for words, sentence in (
        (["--blue", "1"], "Give both --blue and --green"),
        (["--blue", "1", "--green", "1"], "no healthy target"),
    ):
        code, said = call(*words)
        assert (code, sentence in said) == (64, True)
