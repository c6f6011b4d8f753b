"""The verb `backups`: it lists, makes and verifies snapshots, and fails if one is refused or the time is up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runbooks.fleet import backups_verb as module
from runbooks.fleet.backups import Backup
from service.client import ServiceError, Unanswered
from tests.stack_outputs import written
from vectorfleet.door import main

Call = Callable[..., Result]
FIRST: dict[str, Any] = {
    "name": "0042-a-b",
    "refused": "",
    "position": 42,
    "rows": 10,
    "created_ms": 1_767_225_600_000,
    "size_bytes": 4_200_000,
    "level": "manifest",
    "verified_ms": 1_767_225_600_000,
    "verified_by": "",
}


class FakeClient:
    """A fleet of one shard. A snapshot or verdict appears after two more listings."""

    def __init__(self) -> None:
        self.newest = [dict(FIRST)]
        self.unprotected, self.asked, self.refusal, self.silent = 3, list[str](), "", 0
        self._later: list[Callable[[], None]] = []

    def status(self) -> dict[str, Any]:
        replicas = [
            {"ready": True, "unprotected": self.unprotected},
            {"ready": True, "unprotected": 9},
            {"ready": False},
        ]
        return {"shards": [{"shard": 0, "replicas": replicas}]}

    def snapshots(self, limit: int = 5) -> dict[str, Any]:
        if self.silent:
            self.silent -= 1
            raise Unanswered("no reply")
        if self._later:
            self._later.pop(0)()
        return self._listed(limit)

    def _listed(self, limit: int) -> dict[str, Any]:
        return {
            "build": "b-1",
            "shards": [{"shard": 0, "total": 1, "newest": [dict(one) for one in self.newest[:limit]]}],
        }

    def take_snapshots(self, min_position: int | None = None) -> dict[str, Any]:
        self.asked.append("take")
        self._later = [lambda: None, self._made]
        return {"build": "b-1", "shards": [{"shard": 0, "position": 50}]}

    def _made(self) -> None:
        self.newest.insert(0, FIRST | {"name": "0050-c-d", "position": 50})
        self.unprotected = 0

    def verify_snapshots(self, limit: int = 1) -> dict[str, Any]:
        self.asked.append("verify")
        self._later = [lambda: None, self._proven]
        return self._listed(limit)

    def _proven(self) -> None:
        for one in self.newest:
            one |= {"verified_ms": one["verified_ms"] + 1, "verified_by": "i-1", "refused": self.refusal}
            one["level"] = "manifest" if self.refusal else "files"


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """Return the fleet that the verb finds."""
    one = FakeClient()
    monkeypatch.setattr(module, "Client", lambda *_, **__: one)
    monkeypatch.setattr("runbooks.fleet.backups.POLL_SECONDS", 0.001)
    return one


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Return the verb with the outputs of a stack."""
    outputs = written(tmp_path, endpoint="http://127.0.0.1:9")
    return lambda *arguments: CliRunner().invoke(main, ["backups", "--outputs", str(outputs), *arguments])


def test_the_list_has_age_level_and_lacking_writes(fleet: FakeClient, call: Call) -> None:
    result = call()
    assert result.exit_code == 0, result.output
    for word in ("0042-a-b", "42", "manifest", "4.2", "Shard 0: 3 writes are in no snapshot"):
        assert word in result.output
    assert fleet.asked == []
    assert call("--field", "refused").output == "none\n"
    assert call("--field", "lacking").output == "3\n"
    assert json.loads(call("--json").output)["newest"][0]["name"] == "0042-a-b"


def test_now_waits_for_the_snapshot(fleet: FakeClient, call: Call) -> None:
    result = call("--now", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["newest"][0]["position"], found["lacking"], fleet.asked) == (50, {"0": 0}, ["take"])


def test_verify_waits_for_the_verdicts_of_new_snapshots(fleet: FakeClient, call: Call) -> None:
    result = call("--now", "--verify", "--json")
    (newest,) = json.loads(result.output)["newest"]
    assert (result.exit_code, newest["name"], newest["level"], newest["verified_by"]) == (0, "0050-c-d", "files", "i-1")
    assert fleet.asked == ["take", "verify"]


def test_a_refused_snapshot_fails_and_says_why(fleet: FakeClient, call: Call) -> None:
    fleet.refusal = "rows.arrow is missing"
    result = call("--verify")
    assert result.exit_code == 1
    assert "rows.arrow is missing" in " ".join(result.output.split())
    field = call("--field", "refused")
    assert (field.exit_code, field.output) == (0, "0042-a-b\n")


def test_a_wait_ends_when_time_is_up(fleet: FakeClient, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_made", lambda: None)
    result = call("--now", "--within", "0.02s")
    assert (result.exit_code, "Still not after" in result.output) == (1, True)


def test_a_wait_survives_a_silent_moment(fleet: FakeClient, call: Call) -> None:
    asked = fleet.take_snapshots

    def then_silent(min_position: int | None = None) -> dict[str, Any]:
        fleet.silent = 2
        return asked(min_position)

    fleet.take_snapshots = then_silent  # type: ignore[method-assign]
    assert call("--now").exit_code == 0


def test_a_forbidden_key_is_a_sentence(fleet: FakeClient, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(min_position: int | None = None) -> dict[str, Any]:
        raise ServiceError(403, "Forbidden", "POST /v1/snapshots needs a key of role admin", None)

    monkeypatch.setattr(fleet, "take_snapshots", forbidden)
    result = call("--now")
    assert (result.exit_code, "needs a key of role admin" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("before", "after", "since"),
    [
        ((5, ""), (9, ""), False),  # nobody has verified it; each listing reads its manifest
        ((5, ""), (4, "a"), True),
        ((5, "a"), (5, "a"), False),
        ((5, "a"), (6, "b"), True),
    ],
)
def test_only_a_later_verdict_ends_a_wait(before: tuple[int, str], after: tuple[int, str], since: bool) -> None:
    first, second = (Backup(0, "s", 1, 1, 1, 1, "files", *one, refused="") for one in (before, after))
    assert second.verified_since(first) is since
