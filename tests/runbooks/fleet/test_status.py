"""The view of a fleet, and the wait for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runbooks.fleet.status import FleetError, FleetView, see, view, wait_ready
from service.client import ServiceError, Unanswered


def status(*ready: tuple[int, bool]) -> dict[str, Any]:
    shards: dict[int, list[dict[str, Any]]] = {}
    for number, (shard, is_ready) in enumerate(ready):
        shards.setdefault(shard, []).append({"instance": f"i-{number}", "zone": "a", "ready": is_ready, "position": 3})
    return {"head": 5, "shards": [{"shard": shard, "replicas": found} for shard, found in shards.items()]}


def test_a_shard_without_a_ready_replica_is_missing() -> None:
    found = view(status((0, True), (0, False), (1, False)), 2)
    assert (found.missing, found.state) == ([1], "shard-missing")
    assert (found.field("shards_missing"), found.field("state"), found.field("ready")) == ("1", "shard-missing", "1")


def test_an_unknown_shard_is_missing() -> None:
    assert view(status((0, True)), 2).missing == [1]


def test_a_complete_fleet_misses_none() -> None:
    found = view(status((0, True), (1, True)), 2)
    assert (found.field("state"), found.field("shards_missing"), found.field("head")) == ("complete", "none", "5")


def test_a_shard_whose_replicas_differ_at_one_position_is_named() -> None:
    answer = status((0, True), (0, True), (1, True), (1, True))
    for shard in answer["shards"]:
        for replica in shard["replicas"]:
            replica["digest"] = "a"
    assert view(answer, 2).field("diverged") == "none"
    other = answer["shards"][1]["replicas"][1]
    other["digest"] = "b"
    assert view(answer, 2).field("diverged") == "1"
    other["position"] = 4
    assert view(answer, 2).field("diverged") == "none"


def test_replicas_that_have_stopped_are_named() -> None:
    answer = status((0, True), (1, True))
    assert view(answer, 2).field("stale") == "none"
    answer["shards"][1]["replicas"][0]["stale"] = "entry 8 is damaged"
    found = view(answer, 2)
    assert (found.field("stale"), found.stale[0].stale) == ("i-1", "entry 8 is damaged")


def lagging(state: str, positions: int | None = 4, seconds: float | None = 61.0, **more: Any) -> dict[str, Any]:
    rest = {"reason": "a reason", "position": 10, "positions_per_second": 0.0, "eta_seconds": None}
    return rest | {"state": state, "positions": positions, "seconds": seconds} | more


def with_lag(answer: dict[str, Any], *lags: dict[str, Any]) -> FleetView:
    for shard, lag in zip(answer["shards"], lags, strict=True):
        shard["lag"] = lag
    return view(answer, 2)


def test_a_fleet_whose_shards_lag_is_not_complete() -> None:
    both = status((0, True), (1, True))
    current = with_lag(both, lagging("current", 1, 0.5), lagging("current", 2, 0.1))
    assert [current.field(name) for name in ("state", "behind", "lag_positions", "lag_seconds")] == [
        "complete",
        "none",
        "2",
        "0.5",
    ]
    standing = with_lag(both, lagging("current", 0, 0.0), lagging("standing"))
    assert [standing.field(name) for name in ("state", "behind", "standing", "lag_positions", "lag_seconds")] == [
        "behind",
        "1",
        "1",
        "4",
        "61.0",
    ]
    unknown = with_lag(both, lagging("current", 0, 0.0), lagging("unknown", None, None))
    assert (unknown.state, unknown.field("standing")) == ("behind", "1")
    assert view(both | {"shards": [{"shard": 0, "replicas": []}]}, 1).field("lag_seconds") == "unknown"


def test_a_fleet_that_is_indexed_anew_misses_nothing() -> None:
    one, none = status((0, True), (1, True)), status((0, False), (1, False))
    assert with_lag(one, lagging("current", 0, 0.0), lagging("indexing")).state == "indexing"
    anew = with_lag(none, lagging("indexing"), lagging("indexing"))
    assert (anew.state, anew.field("shards_missing"), anew.field("standing")) == ("indexing", "0 1", "none")
    # Shards that restore or stand, or whose state is unknown, need more than time.
    assert with_lag(none, lagging("indexing"), lagging("restoring")).state == "shard-missing"
    assert with_lag(one, lagging("indexing"), lagging("standing")).state == "behind"
    gone = status((0, True), (1, False))
    assert with_lag(gone, lagging("indexing"), lagging("current", 0, 0.0)).state == "shard-missing"


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({}, "unknown"),
        ({"indexing": "realtime", "indexers": []}, "absent"),
        ({"indexing": "batch", "indexers": []}, "scheduled"),
        ({"indexing": "batch", "indexers": [{"state": "unreachable"}]}, "unreachable"),
        ({"indexing": "realtime", "indexers": [{"state": "not ready"}, {"state": "unreachable"}]}, "not ready"),
        ({"indexing": "realtime", "indexers": [{"state": "not ready"}, {"state": "ready"}]}, "ready"),
    ],
)
def test_the_best_state_of_an_indexer_is_shown(said: dict[str, Any], state: str) -> None:
    found = view(status((0, True)) | said, 1)
    assert found.field("indexer") == state
    well = state in ("ready", "scheduled", "unknown")
    assert found.field("indexer_trouble") == ("none" if well else found.indexer)


def test_trouble_of_an_indexer_and_a_refusal_are_shown() -> None:
    plain = view(status((0, True)), 1)
    assert plain.field("misconfigured") == "none"
    indexers = [{"instance": "i-9", "state": "not ready", "reason": "no model"}, {"state": "ready", "error": "503"}]
    found = view(status((0, True)) | {"misconfigured": "index.m 16 → 24", "indexers": indexers}, 1)
    assert found.field("misconfigured") == "index.m 16 → 24"
    assert found.indexers is not None
    assert [one.trouble for one in found.indexers] == ["no model", "503"]
    assert (found.to_json()["indexer"], found.to_json()["indexers"][0]["instance"]) == ("ready", "i-9")


def client(*answers: Any) -> Any:
    """Return a client that gives these answers, the last one again and again, and raises those that are errors."""
    left = list(answers)

    def answer() -> Any:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return SimpleNamespace(status=answer)


@pytest.mark.parametrize("answer", [Unanswered("gone"), ServiceError(503, "a", "b", None), {"head": 1}, {"shards": 3}])
def test_a_fleet_that_does_not_answer_is_an_error(answer: Any) -> None:
    with pytest.raises(FleetError, match="/v1/status"):
        see(client(answer), 2)


def test_waiting_ends_when_every_shard_is_ready() -> None:
    heard: list[FleetView | None] = []
    fleet = client(status((0, True)), Unanswered("gone"), status((0, True), (1, True)))
    assert wait_ready(fleet, 2, 1, 30.0, heard.append)
    assert [found.state if found else None for found in heard] == ["shard-missing", None, "complete"]


def test_waiting_gives_up() -> None:
    assert not wait_ready(client(status((0, True))), 2, 1, 0.2, lambda _: None)


def test_one_ready_replica_is_not_two() -> None:
    assert not wait_ready(client(status((0, True), (1, True))), 2, 2, 0.1, lambda _: None)
