"""States of a fleet that the steps wait for, from /v1/status."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.fleet import NotReachedError, all_ready, await_status, replicas_agree, settled
from service.client import Client, Unanswered


def replica(**changed: Any) -> dict[str, Any]:
    usual = {"replica": "a", "ready": True, "position": 9, "generation": 1, "delta_rows": 0, "rows": 500, "digest": "d"}
    return usual | changed


def status(*shards: list[dict[str, Any]]) -> dict[str, Any]:
    return {"head": 9, "shards": [{"shard": i, "replicas": replicas} for i, replicas in enumerate(shards)]}


def test_a_fleet_is_ready_with_all_replicas_of_each_shard() -> None:
    assert all_ready(status([replica(), replica()]), 2)
    assert not all_ready(status([replica()]), 2)
    assert not all_ready(status([replica(), replica(ready=False)]), 2)
    assert not all_ready(status([replica(), replica()], []), 2)


@pytest.mark.parametrize(
    "lacking", [{"ready": False}, {"position": 8}, {"generation": 0}, {"delta_rows": 500}], ids=lambda c: str(c)
)
def test_a_settled_replica_serves_the_position_from_a_base(lacking: dict[str, Any]) -> None:
    assert settled(status([replica()], [replica()]), 9)
    assert not settled(status([replica()], [replica(**lacking)]), 9)


def test_too_few_rows_for_a_base_are_settled_without_one() -> None:
    assert settled(status([replica(generation=0, rows=499, delta_rows=499)]), 9)
    assert not settled(status([replica(generation=0, rows=499, delta_rows=499, position=8)]), 9)


def test_replicas_agree_by_digest_at_one_position() -> None:
    assert replicas_agree(status([replica(), replica()], [replica(digest="other")]))
    assert not replicas_agree(status([replica(), replica(digest="other")]))


class Silent(Client):
    """A fleet that never answers."""

    def status(self) -> dict[str, Any]:
        raise Unanswered("nobody is there")


def test_the_error_names_the_last_state() -> None:
    with pytest.raises(NotReachedError, match=r"a ready fleet was not reached in 0.1 s; last seen: nobody is there"):
        await_status(Silent("http://127.0.0.1:1"), lambda _: True, "a ready fleet", 0.1)
