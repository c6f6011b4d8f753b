"""What the steps wait for, judged from /v1/status."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rehearsal import fleet
from rehearsal.fleet import NotReachedError, all_ready, await_known_key, await_status, replicas_agree, settled
from service.client import Client, ServiceError, Unanswered


def replica(**changed: Any) -> dict[str, Any]:
    usual = {"replica": "a", "ready": True, "position": 9, "generation": 1, "delta_rows": 0, "rows": 500, "digest": "d"}
    return usual | changed


def status(*shards: list[dict[str, Any]]) -> dict[str, Any]:
    return {"head": 9, "shards": [{"shard": i, "replicas": replicas} for i, replicas in enumerate(shards)]}


def test_a_fleet_is_ready_when_each_shard_has_all_its_replicas_ready() -> None:
    assert all_ready(status([replica(), replica()]), 2)
    assert not all_ready(status([replica()]), 2)
    assert not all_ready(status([replica(), replica(ready=False)]), 2)
    assert not all_ready(status([replica(), replica()], []), 2)


@pytest.mark.parametrize(
    "lacking", [{"ready": False}, {"position": 8}, {"generation": 0}, {"delta_rows": 500}], ids=lambda c: str(c)
)
def test_a_fleet_is_settled_when_every_replica_serves_the_position_from_a_base(lacking: dict[str, Any]) -> None:
    assert settled(status([replica()], [replica()]), 9)
    assert not settled(status([replica()], [replica(**lacking)]), 9)


def test_so_few_rows_that_no_base_is_built_of_them_are_settled_without_one() -> None:
    assert settled(status([replica(generation=0, rows=499, delta_rows=499)]), 9)
    assert not settled(status([replica(generation=0, rows=499, delta_rows=499, position=8)]), 9)


def test_replicas_agree_by_digest_at_one_position() -> None:
    assert replicas_agree(status([replica(), replica()], [replica(digest="other")]))
    assert not replicas_agree(status([replica(), replica(digest="other")]))


class Silent(Client):
    """A fleet that never answers."""

    def status(self) -> dict[str, Any]:
        raise Unanswered("nobody is there")


def test_what_was_not_reached_is_told_with_the_last_state() -> None:
    with pytest.raises(NotReachedError, match=r"a ready fleet was not reached in 0.1 s; last seen: nobody is there"):
        await_status(Silent("http://127.0.0.1:1"), lambda _: True, "a ready fleet", 0.1)


class TwoRouters(Client):
    """Routers that answer in turns; the second one does not know the key yet for so many requests."""

    def __init__(self, refusals: int) -> None:
        super().__init__("http://127.0.0.1:1")
        self.asked = self.refused = 0
        self._refusals = refusals

    def status(self) -> dict[str, Any]:
        self.asked += 1
        if self.asked % 2 == 0 and self.refused < self._refusals:
            self.refused += 1
            raise ServiceError(401, "Unauthorized", "the fleet has no keys yet", None)
        return status()


def test_a_key_is_known_when_no_router_refuses_it_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "KEY_KNOWN_SECONDS", 0.1)
    monkeypatch.setattr(fleet, "POLL_SECONDS", 0.01)
    routers = TwoRouters(20)
    await_known_key(routers, time.monotonic())
    assert routers.refused == 20
    before = routers.asked
    await_known_key(routers, time.monotonic() - 1.0)
    assert routers.asked == before
    monkeypatch.setattr(fleet, "KEY_WITHIN_SECONDS", 0.1)
    with pytest.raises(
        NotReachedError, match=r"routers that know the key were not reached in 0\.1 s: 401 Unauthorized"
    ):
        await_known_key(TwoRouters(1_000), time.monotonic())
