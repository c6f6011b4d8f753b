"""Actions of alarms, by the new state."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.emulator.aws.cloudwatch import alarms

LOUD, QUIET, SILENT = (f"arn:aws:sns:us-east-1:123456789012:{name}" for name in ("loud", "quiet", "silent"))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the notified topics, in order."""
    topics: list[str] = []

    def submit(_: object, backend: object, alarm: object, topic: str, *message: str) -> None:
        topics.append(topic)

    monkeypatch.setattr(alarms, "_PUBLISHER", SimpleNamespace(submit=submit))
    monkeypatch.setattr(alarms, "_message", lambda *_: {})
    return topics


def alarm(state: str, **more: Any) -> SimpleNamespace:
    actions = {"alarm_actions": [LOUD], "ok_actions": [QUIET], "insufficient_data_actions": [SILENT]}
    return SimpleNamespace(**{"name": "p95", "state_value": state, "actions_enabled": True} | actions | more)


@pytest.mark.parametrize(("state", "topic"), [("ALARM", LOUD), ("OK", QUIET), ("INSUFFICIENT_DATA", SILENT)])
def test_each_state_has_its_actions(told: list[str], state: str, topic: str) -> None:
    alarms._announce(SimpleNamespace(region_name="us-east-1"), alarm(state), "before")
    assert told == [topic]


def test_alarms_without_enabled_actions_notify_nobody(told: list[str]) -> None:
    backend = SimpleNamespace(region_name="us-east-1")
    alarms._announce(backend, alarm("OK", ok_actions=None), "ALARM")
    alarms._announce(backend, alarm("ALARM", actions_enabled=False), "OK")
    alarms._announce(backend, alarm("ALARM", alarm_actions=["arn:aws:automate:us-east-1:ec2:stop"]), "OK")
    assert told == []
