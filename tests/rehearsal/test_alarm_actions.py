"""Whom an alarm of the emulated AWS tells: by the state that it changed to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.emulator import alarming

LOUD, QUIET, SILENT = (f"arn:aws:sns:us-east-1:123456789012:{name}" for name in ("loud", "quiet", "silent"))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The topics that were told, in order."""
    topics: list[str] = []

    def submit(_: object, backend: object, alarm: object, topic: str, *message: str) -> None:
        topics.append(topic)

    monkeypatch.setattr(alarming, "_PUBLISHER", SimpleNamespace(submit=submit))
    monkeypatch.setattr(alarming, "_message", lambda *_: {})
    return topics


def alarm(state: str, **more: Any) -> SimpleNamespace:
    actions = {"alarm_actions": [LOUD], "ok_actions": [QUIET], "insufficient_data_actions": [SILENT]}
    return SimpleNamespace(**{"name": "p95", "state_value": state, "actions_enabled": True} | actions | more)


@pytest.mark.parametrize(("state", "topic"), [("ALARM", LOUD), ("OK", QUIET), ("INSUFFICIENT_DATA", SILENT)])
def test_each_state_has_actions_of_its_own(told: list[str], state: str, topic: str) -> None:
    alarming._announce(SimpleNamespace(region_name="us-east-1"), alarm(state), "before")
    assert told == [topic]


def test_nobody_is_told_what_has_no_action_or_is_switched_off(told: list[str]) -> None:
    backend = SimpleNamespace(region_name="us-east-1")
    alarming._announce(backend, alarm("OK", ok_actions=None), "ALARM")
    alarming._announce(backend, alarm("ALARM", actions_enabled=False), "OK")
    alarming._announce(backend, alarm("ALARM", alarm_actions=["arn:aws:automate:us-east-1:ec2:stop"]), "OK")
    assert told == []
