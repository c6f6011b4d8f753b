"""The slots of a stack as their routers describe them, each asked by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.operations.weights import Listener, Slot
from infra.stack.outputs import Fleet, read_stack
from runbooks.fleet.status import FleetError, FleetView, connect, view
from service.client import ServiceError, Unanswered
from vectorfleet.refusal import Refusal


@dataclass(frozen=True)
class SlotView:
    """A deployed slot: its weight, its healthy routers, and its status; `trouble` says why there is no status."""

    name: str
    weight: int
    healthy: int
    routers: int
    status: Mapping[str, Any]
    fleet: FleetView | None
    trouble: str = ""

    @property
    def build(self) -> str:
        return str(self.status.get("build") or "")

    @property
    def recipe(self) -> dict[str, Any]:
        return dict(self.status.get("recipe") or {})

    @property
    def digests(self) -> dict[int, str]:
        """The digest of the slot's documents, by position."""
        return {int(position): str(digest) for position, digest in (self.status.get("digests") or {}).items()}

    @property
    def is_current(self) -> bool:
        """Every shard has a ready replica and covers the documents log."""
        return self.fleet is not None and self.fleet.state == "complete"

    @property
    def rows(self) -> int:
        """Rows of the slot, as its most advanced replicas hold them."""
        if self.fleet is None:
            return 0
        by_shard: dict[int, int] = {}
        for replica in self.fleet.replicas:
            by_shard[replica.shard] = max(replica.rows, by_shard.get(replica.shard, 0))
        return sum(by_shard.values())

    @property
    def behind(self) -> int | None:
        """Positions that its last shard lacks; None while that is unknown."""
        if self.fleet is None or any(lag.positions is None for lag in self.fleet.lags):
            return None
        return max((lag.positions or 0 for lag in self.fleet.lags), default=None)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until its last shard covers the documents log; None while a shard gains nothing."""
        if self.fleet is None or any(lag.eta_seconds is None for lag in self.fleet.behind):
            return None
        return max((lag.eta_seconds or 0.0 for lag in self.fleet.behind), default=0.0)


def see_slots(fleet: Fleet) -> dict[str, SlotView]:
    """Ask every deployed slot. A slot that does not answer is listed with its trouble. Raises botocore's errors."""
    groups = {group.name: group for group in Listener(fleet).slots()}
    return {name: _see(fleet, groups[name]) for name in fleet.slots}


def _see(fleet: Fleet, group: Slot) -> SlotView:
    status: Mapping[str, Any] = {}
    found, trouble = None, ""
    try:
        status = connect(fleet.endpoint, slot=group.name).status()
        found = view(status, read_stack(fleet.outputs, fleet.aws_endpoint, slot=group.name).shards)
    except (ServiceError, Unanswered, FleetError) as error:
        trouble = str(error)
    return SlotView(group.name, group.weight, group.healthy, group.targets, status, found, trouble)


def refuse_unless_deployed(fleet: Fleet, slot: str) -> None:
    """Raise Refusal if the stack does not have the slot."""
    if slot not in fleet.slots:
        raise Refusal(
            f"Slot {slot} is not deployed; the stack has {', '.join(fleet.slots)}. Add `{slot}: {{}}` to "
            "vectorfleet:slots in the stack's configuration and run `pulumi up`."
        )
