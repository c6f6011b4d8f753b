"""Instance refreshes: the members of a group are replaced by instances of another launch template version.

A refresh that must launch before it terminates exceeds the group's maximum size, as on AWS. The emulator takes one
step of every refresh each second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.utils import utcnow

from rehearsal.emulator.aws.autoscaling import lifecycle
from rehearsal.emulator.aws.autoscaling.membership import counted, retire, suspended
from rehearsal.emulator.aws.autoscaling.mixed_instances import Source, become, launch_from
from rehearsal.emulator.aws.elbv2 import published_state

FORWARD = ("Pending", "InProgress", "Baking")
ACTIVE = (*FORWARD, "Cancelling", "RollbackInProgress")
# AWS gives up if the group does not become healthy within an hour.
PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Preferences:
    """Preferences of a refresh; percentages are of the desired capacity."""

    least_percent: int = 90
    most_percent: int | None = None
    warmup_seconds: int = 0
    skip_matching: bool = False
    auto_rollback: bool = False
    alarms: tuple[str, ...] = ()
    bake_seconds: int = 0


@dataclass
class Refresh:
    """
    A refresh of a group.

    `target` is the present goal, its version a number as text; `wanted` is the final source as the request gave it.
    """

    group: str
    preferences: Preferences
    previous: Source
    target: Source
    wanted: Source | None = None
    desired: dict[str, Any] | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid4()))
    status: str = "Pending"
    reason: str = ""
    started: datetime = field(default_factory=utcnow)
    ended: datetime | None = None
    began: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)
    to_update: int = 0
    left: int = 0
    rollback: dict[str, Any] | None = None
    stale: frozenset[str] = frozenset()

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def percent(self) -> int:
        """Return the share of instances that are replaced, 0 to 100."""
        return 100 * (self.to_update - self.left) // self.to_update if self.to_update else 100

    def end(self, status: str, reason: str = "") -> None:
        self.status, self.ended = status, utcnow()
        self.reason = reason or self.reason


class Member(NamedTuple):
    """An instance as a refresh sees it. `ready`: in service, healthy and warm."""

    id: str
    outdated: bool
    ready: bool


class Moves(NamedTuple):
    """The next moves: instances above the desired capacity, and members to terminate."""

    surge: int
    retire: tuple[str, ...]
    left: int


def moves(desired: int, members: Sequence[Member], least_percent: int, most_percent: int | None) -> Moves:
    """
    Return the next moves within the bounds; `left` counts the outdated members that stay for now.

    >>> moves(1, [Member("old", True, True)], 100, 200)
    Moves(surge=1, retire=(), left=1)
    >>> moves(1, [Member("old", True, True), Member("new", False, True)], 100, 200)
    Moves(surge=0, retire=('old',), left=0)
    """
    least = math.ceil(desired * least_percent / 100)
    most = max(desired, desired * (most_percent or 100) // 100)
    if most == desired and least == desired:
        # Otherwise nothing could be replaced. AWS replaces one at a time then.
        least = max(desired - 1, 0)
    useless = [member.id for member in members if member.outdated and not member.ready]
    serving = [member.id for member in members if member.outdated and member.ready]
    spare = max(sum(member.ready for member in members) - least, 0)
    gone = (*useless, *serving[:spare])
    left = len(useless) + len(serving) - len(gone)
    return Moves(min(most - desired, left), gone, left)


def of_group(group: Any) -> list[Refresh]:
    """Return the group's refreshes, oldest first."""
    found: list[Refresh] = group.__dict__.setdefault("instance_refreshes", [])
    return found


def active(group: Any) -> Refresh | None:
    return next((refresh for refresh in of_group(group) if refresh.active), None)


def head_for(group: Any, refresh: Refresh, target: Source) -> None:
    """Launch from this source from now on; the group shows its own as before."""
    refresh.target, refresh.moved = target, time.monotonic()
    launch_from(group, target)


def step(group: Any) -> None:
    """Take one step of the group's active refresh, if it has one."""
    refresh = active(group)
    if refresh is None:
        return
    if refresh.status == "Cancelling":
        _settle(group, refresh, "Cancelled")
    elif refresh.status in FORWARD and (trouble := _alarm(group, refresh)):
        fail(group, refresh, trouble)
    elif refresh.status == "Baking":
        _bake(group, refresh)
    elif time.monotonic() - refresh.moved > PATIENCE_SECONDS:
        fail(group, refresh, "The group did not become healthy in time.")
    else:
        _replace(group, refresh)


def fail(group: Any, refresh: Refresh, reason: str) -> None:
    """End the refresh; it rolls back first if AutoRollback is set."""
    refresh.reason = reason
    if refresh.status == "RollbackInProgress":
        _settle(group, refresh, "RollbackFailed")
    elif refresh.preferences.auto_rollback:
        roll_back(group, refresh, reason)
    else:
        _settle(group, refresh, "Failed")


def roll_back(group: Any, refresh: Refresh, reason: str) -> None:
    """Replace the new instances by instances of the previous version."""
    refresh.rollback = {
        "RollbackReason": reason,
        "RollbackStartTime": utcnow(),
        "PercentageCompleteOnRollback": refresh.percent,
        "InstancesToUpdateOnRollback": refresh.left,
    }
    refresh.status, refresh.reason, refresh.to_update = "RollbackInProgress", reason, 0
    refresh.stale = frozenset()
    head_for(group, refresh, refresh.previous)


def _settle(group: Any, refresh: Refresh, status: str) -> None:
    """End an incomplete refresh; the group launches from its own template again."""
    group.surge = 0
    launch_from(group, refresh.previous)
    refresh.end(status)


def _replace(group: Any, refresh: Refresh) -> None:
    if refresh.status == "Pending":
        refresh.status = "InProgress"
    states = {state.instance_id: state for state in counted(group)}
    members = [_member(group, refresh, state) for state in states.values()]
    preferences, desired = refresh.preferences, int(group.desired_capacity or 0)
    next_moves = moves(desired, members, preferences.least_percent, preferences.most_percent)
    for name in next_moves.retire:
        retire(group, states[name], "was taken out of service in response to an instance refresh")
    refresh.to_update = max(refresh.to_update, next_moves.left + len(next_moves.retire))
    if next_moves.left != refresh.left or next_moves.retire:
        refresh.left, refresh.moved = next_moves.left, time.monotonic()
    group.surge = next_moves.surge
    ready = [member for member in members if member.ready and member.id not in next_moves.retire]
    if not next_moves.left and len(ready) >= desired:
        _arrive(group, refresh)
    elif refresh.status != "RollbackInProgress":
        refresh.reason = "Waiting for instances to be in service, healthy and warm."


def _arrive(group: Any, refresh: Refresh) -> None:
    if refresh.status == "RollbackInProgress":
        refresh.end("RollbackSuccessful")
        return
    refresh.status, refresh.moved = "Baking", time.monotonic()
    refresh.reason = f"Waiting for the bake time of {refresh.preferences.bake_seconds} seconds to pass."
    _bake(group, refresh)


def _bake(group: Any, refresh: Refresh) -> None:
    """Succeed once the bake time has passed without an alarm."""
    if time.monotonic() - refresh.moved < refresh.preferences.bake_seconds:
        return
    if refresh.wanted is not None:
        become(group, refresh.wanted)
    refresh.reason = ""
    refresh.end("Successful")


def _member(group: Any, refresh: Refresh, state: Any) -> Member:
    version = (state.launch_template or {}).get("Version")
    other = bool(refresh.target.types) and state.instance.instance_type not in refresh.target.types
    outdated = version != refresh.target.version or other or state.instance_id in refresh.stale
    # An instance that served before the refresh began need not warm up.
    served = lifecycle.seconds_in_service(state)
    warm = served >= min(refresh.preferences.warmup_seconds, time.monotonic() - refresh.began)
    return Member(state.instance_id, outdated, warm and _serves(group, state))


def _serves(group: Any, state: Any) -> bool:
    if state.lifecycle_state != lifecycle.IN_SERVICE or state.health_status != "Healthy":
        return False
    return "ELB" not in group.health_check_type or suspended(group, "HealthCheck") or _gets_requests(group, state)


def _gets_requests(group: Any, state: Any) -> bool:
    # None: no balancer process probes the target, as on a bare emulator.
    return all(published_state(arn, state.instance_id) in (None, "healthy") for arn in group.target_group_arns)


def _alarm(group: Any, refresh: Refresh) -> str:
    """Return why an alarm stops the refresh; empty if none does."""
    backend = group.autoscaling_backend
    alarms = cloudwatch_backends[backend.account_id][backend.region_name].alarms
    loud = [name for name in refresh.preferences.alarms if name in alarms and alarms[name].state_value == "ALARM"]
    return f"CloudWatch alarm {loud[0]} is in the ALARM state." if loud else ""
