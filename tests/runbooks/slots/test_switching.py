"""A switch by steps: weights move, and come back when an alarm rings or the switch is ended."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from runbooks.slots.switching import switch
from vectorfleet.verdicts import Verdict

BEFORE = {"blue": 100, "green": 0}


class Listener:
    """Records the weights that it was given; an alarm rings while green has `rings_at` percent."""

    def __init__(self, rings_at: int | None = None) -> None:
        self.moves: list[dict[str, int]] = []
        self._rings_at = rings_at

    def move(self, wanted: Mapping[str, int]) -> None:
        self.moves.append(dict(wanted))

    def ringing(self) -> list[str]:
        return ["fleet-green-errors"] if self.moves[-1]["green"] == self._rings_at else []


def test_every_step_moves_the_weights_and_looks_at_the_alarms() -> None:
    listener = Listener()
    done = switch(listener, BEFORE, ("blue", "green"), (10, 50, 100), 0.0, listener.ringing, print)
    assert done.verdict is Verdict.PASS
    assert listener.moves == [{"blue": 90, "green": 10}, {"blue": 50, "green": 50}, {"blue": 0, "green": 100}]
    assert [step.percent for step in done.steps] == [10, 50, 100]


def test_a_ringing_alarm_takes_the_weights_back() -> None:
    listener = Listener(rings_at=50)
    done = switch(listener, BEFORE, ("blue", "green"), (10, 50, 100), 0.0, listener.ringing, print)
    assert (done.verdict, done.steps[-1].ringing) == (Verdict.FAIL, ("fleet-green-errors",))
    assert listener.moves[-1] == BEFORE
    assert done.back_seconds is not None


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError])
def test_an_ended_switch_takes_the_weights_back(ending: type[BaseException]) -> None:
    listener = Listener()

    def broken() -> list[str]:
        raise ending

    with pytest.raises(ending):
        switch(listener, BEFORE, ("blue", "green"), (10, 100), 0.0, broken, print)
    assert listener.moves == [{"blue": 90, "green": 10}, BEFORE]
