"""Instances that wait for a launch lifecycle hook, in Pending:Wait until it is completed or times out.

moto stores hooks and waits for none. A hook on termination is stored only, here too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from rehearsal.emulator.aws.autoscaling import activities

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
WAITING = "Pending:Wait"
IN_SERVICE = "InService"
CONTINUE = "CONTINUE"
LONGEST_SECONDS = 48 * 3600
LONGEST_IN_TIMEOUTS = 100


@dataclass
class Action:
    """A hook that holds an instance; times are those of the monotonic clock."""

    hook: Any
    token: str
    expires: float
    ends: float

    def extend(self) -> None:
        """Start the timeout again, up to the end of all waiting."""
        self.expires = min(time.monotonic() + self.hook.heartbeat_timeout, self.ends)


def _action(hook: Any) -> Action:
    now = time.monotonic()
    longest = min(LONGEST_IN_TIMEOUTS * hook.heartbeat_timeout, LONGEST_SECONDS)
    return Action(hook, str(uuid4()), now + hook.heartbeat_timeout, now + longest)


def launch_hooks(group: Any) -> list[Any]:
    hooks = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
    return [hook for hook in hooks if hook.lifecycle_transition == LAUNCHING]


def begin(group: Any, state: Any, activity: Any) -> None:
    """Let a new instance wait for each of the group's hooks; without hooks it is in service at once."""
    state.launch_activity = activity
    state.actions = {hook.name: _action(hook) for hook in launch_hooks(group)}
    if state.actions:
        state.lifecycle_state = WAITING
        activities.await_hook(activity)
    else:
        _enter_service(state)


def _enter_service(state: Any) -> None:
    state.lifecycle_state = IN_SERVICE
    state.in_service_since = time.monotonic()


def action_of(state: Any, hook: str, token: str | None) -> Action | None:
    """Return the action by which a hook holds an instance; None if there is none, or its token differs."""
    action: Action | None = getattr(state, "actions", {}).get(hook)
    return None if action is None or token not in (None, action.token) else action


def proceed(state: Any, action: Action) -> None:
    """Complete a hook; the last one lets the instance into service."""
    del state.actions[action.hook.name]
    if not state.actions:
        activities.succeed(state.launch_activity)
        _enter_service(state)


def abandon(state: Any, action: Action, how: str) -> str:
    """Record that the launch failed, and return the cause for which the group ends the instance."""
    problem = (
        f"Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {action.token} "
        f"was abandoned: {how}"
    )
    activities.cancel(state.launch_activity, problem)
    return "was taken out because its launch was abandoned"


def overdue(group: Any) -> Iterator[tuple[Any, str]]:
    """Apply the default result of hooks that timed out, and yield each abandoned instance with the cause."""
    now = time.monotonic()
    for state in list(group.instance_states):
        for action in [a for a in getattr(state, "actions", {}).values() if a.expires <= now]:
            if action.hook.default_result == CONTINUE:
                proceed(state, action)
                continue
            yield state, abandon(state, action, "Heartbeat Timeout")
            break


def seconds_in_service(state: Any) -> float:
    """Return the seconds that an instance has served; 0 while it waits."""
    if state.lifecycle_state != IN_SERVICE:
        return 0.0
    return time.monotonic() - float(getattr(state, "in_service_since", 0.0))
