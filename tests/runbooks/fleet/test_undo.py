"""The verb `undo`: it shows a plan, asks, undoes the places of the plan, and waits for every shard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runbooks.fleet import undo_verb as module
from service.client import ServiceError
from tests.stack_outputs import SLOT, written
from vectorfleet.door import main
from vectorfleet.exit_codes import ExitCode

Call = Callable[..., Result]
DOCUMENT = {"source_id": "guide/7", "collection": 0, "before": None, "after": 12}


class FakeClient:
    """A fleet of two shards, one of which is behind for `late` looks."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any, dict[str, Any]]] = []
        self.late, self.refusal = 2, ""

    def undo(self, first: Any, last: Any, **options: Any) -> dict[str, Any]:
        if self.refusal:
            raise ServiceError(409, "Conflict", self.refusal, None)
        self.asked.append((first, last, options))
        none: dict[str, Any] = {"count": 0, "documents": []}
        return {
            "position": None if options.get("dry_run") else 58,
            "first": [42, 0],
            "last": [57, 3],
            "around": [{"position": 57, "written_at": "2026-11-24T14:05:58+00:00", "documents": 50}],
            "writes": 300,
            "deletes": 299,
            "source_ids": 298,
            "voids": [41],
            "restored": {"count": 21, "documents": [DOCUMENT]},
            "replaced": none,
            "removed": none,
        }

    def status(self) -> dict[str, Any]:
        self.late -= 1
        behind = 58 if self.late < 0 else 57
        shards = [[(58, True), (3, False)], [(59, True), (behind, True)]]
        replicas = [[{"position": position, "ready": ready} for position, ready in shard] for shard in shards]
        return {"shards": [{"shard": number, "replicas": ones} for number, ones in enumerate(replicas)]}


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    one = FakeClient()
    monkeypatch.setattr(module, "Client", lambda endpoint, **_: one)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    return one


@pytest.fixture
def call(tmp_path: Path) -> Call:
    def made(*words: str, answer: str = "") -> Result:
        outputs = str(written(tmp_path, slots={"blue": SLOT | {"shards": 2}}))
        return CliRunner().invoke(main, ["undo", "--outputs", outputs, *words], input=answer)

    return made


def test_a_dry_run_shows_the_documents_and_changes_nothing(fleet: FakeClient, call: Call) -> None:
    shown = call("--from", "2026-11-24T14:05:00Z", "--to", "57", "--only-deletes", "--dry-run")
    assert shown.exit_code == 0, shown.output
    for words in (
        "21 documents come back",
        "guide/7",
        "2026-11-24T14:05:58+00:00",
        "Positions 42 to 57: 300 writes, 299 of them deletions, of 298 source_ids.",
        "This undoes earlier undos, at 41.",
    ):
        assert words in shown.output
    ((first, last, options),) = fleet.asked
    assert (first, last, options["dry_run"], options["only_deletes"]) == ("2026-11-24T14:05:00Z", 57, True, True)


def test_a_confirmed_undo_names_the_places_of_its_plan(fleet: FakeClient, call: Call) -> None:
    done = call("--from", "2026-11-24T14:05:00Z", "--to", "57", "--collection", "notes", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "Undone at position 58; every shard had it after " in done.output
    (_, _, planned), (first, last, options) = fleet.asked
    assert (first, last, options["collection"]) == ("42.0", "57.3", "notes")
    assert "dry_run" not in options
    assert planned["collection"] == "notes"
    assert fleet.late == -1


def test_without_a_yes_nothing_is_undone(fleet: FakeClient, call: Call) -> None:
    assert call("--from", "42", "--to", "57", answer="n\n").exit_code != 0
    assert [options["dry_run"] for _, _, options in fleet.asked] == [True]


def test_a_wait_that_is_over_fails_with_the_position(fleet: FakeClient, call: Call) -> None:
    fleet.late = 10_000
    done = call("--from", "42", "--to", "57", "--yes", "--within", "1s", "--json")
    assert done.exit_code == 1
    assert "Position 58 undoes them, but not every shard had it after" in done.stderr
    assert json.loads(done.stdout)["done"] is False


def test_a_refusal_is_said_as_the_fleet_says_it(fleet: FakeClient, call: Call) -> None:
    fleet.refusal = "the range has no write"
    done = call("--from", "42", "--to", "57", "--yes")
    assert done.exit_code == ExitCode.USAGE
    assert "the range has no write" in done.output
