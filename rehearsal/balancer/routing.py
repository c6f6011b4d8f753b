"""Which target gets the next request: a target group by weight, then round robin over its healthy targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rehearsal.balancer.listeners import Group, Listener, Target

StateOf = Callable[[str, Target], str]


class Choice(NamedTuple):
    """Where a request goes: a target, and the ARN of the group it was chosen from."""

    group: str
    target: Target


class Weights:
    """Smooth weighted round robin: exact shares over any long run, evenly mixed within it."""

    def __init__(self) -> None:
        self._credit: dict[str, int] = {}

    def choose(self, weights: tuple[tuple[str, int], ...]) -> str | None:
        """The group for the next request; None when no group has a weight above 0."""
        live = [(arn, weight) for arn, weight in weights if weight > 0]
        if len(live) <= 1:
            return live[0][0] if live else None
        for arn, weight in live:
            self._credit[arn] = self._credit.get(arn, 0) + weight
        chosen = max(live, key=lambda pair: self._credit[pair[0]])[0]
        self._credit[chosen] -= sum(weight for _, weight in live)
        return chosen


def eligible(group: Group, state_of: StateOf) -> tuple[Target, ...]:
    """Healthy targets; all of them when every single one is unhealthy (fail open); else none."""
    states = [state_of(group.arn, target) for target in group.targets]
    healthy = tuple(t for t, state in zip(group.targets, states, strict=True) if state == "healthy")
    if healthy or any(state != "unhealthy" for state in states):
        return healthy
    return group.targets


class Router:
    """The choice for one listener. `update` gives it a new view; `next` is called per request."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._weights = Weights()
        self._targets: dict[str, tuple[Target, ...]] = {}
        self._turn: dict[str, int] = {}

    def update(self, listener: Listener, targets: dict[str, tuple[Target, ...]]) -> None:
        """Take over changed weights and eligible targets per group; at once, also for open connections."""
        if listener.weights != self.listener.weights:
            self._weights = Weights()
        self.listener = listener
        self._targets = targets

    def next(self) -> Choice | None:
        """Where the next request goes; None means 503."""
        group = self._weights.choose(self.listener.weights)
        targets = self._targets.get(group, ()) if group else ()
        if not targets or group is None:
            return None
        turn = self._turn.get(group, 0)
        self._turn[group] = turn + 1
        return Choice(group, targets[turn % len(targets)])
