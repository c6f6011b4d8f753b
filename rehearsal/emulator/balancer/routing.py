"""Routing of requests: to a target group by rule and weight, then round robin over its healthy targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rehearsal.emulator.balancer.listeners import Group, Listener, Target
from rehearsal.emulator.balancer.rules import Head, Rule, Shares

StateOf = Callable[[str, Target], str]


class Choice(NamedTuple):
    """A target, and the ARN of the group from which it was chosen."""

    group: str
    target: Target


class Weights:
    """Smooth weighted round robin: exact shares in the long run, evenly mixed."""

    def __init__(self) -> None:
        self._credit: dict[str, int] = {}

    def choose(self, weights: Shares) -> str | None:
        """Return the group for the next request; None if no group has a weight above 0."""
        live = [(arn, weight) for arn, weight in weights if weight > 0]
        if len(live) <= 1:
            return live[0][0] if live else None
        for arn, weight in live:
            self._credit[arn] = self._credit.get(arn, 0) + weight
        chosen = max(live, key=lambda pair: self._credit[pair[0]])[0]
        self._credit[chosen] -= sum(weight for _, weight in live)
        return chosen


def eligible(group: Group, state_of: StateOf) -> tuple[Target, ...]:
    """Return the healthy targets; all targets if every one is unhealthy (fail open)."""
    states = [state_of(group.arn, target) for target in group.targets]
    healthy = tuple(t for t, state in zip(group.targets, states, strict=True) if state == "healthy")
    if healthy or any(state != "unhealthy" for state in states):
        return healthy
    return group.targets


class Router:
    """The choice of targets for a listener."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._rules: tuple[tuple[Rule, Weights], ...] = ()
        self._targets: dict[str, tuple[Target, ...]] = {}
        self._turn: dict[str, int] = {}

    def update(self, listener: Listener, targets: dict[str, tuple[Target, ...]]) -> None:
        """Take over changed rules and eligible targets at once, also for open connections."""
        self.listener = listener
        self._targets = targets
        known = dict(self._rules)
        self._rules = tuple((rule, known.get(rule) or Weights()) for rule in listener.rules)

    def next(self, head: Head) -> Choice | None:
        """Return the choice for a request by the first rule that applies; None means 503."""
        group = next((share.choose(rule.weights) for rule, share in self._rules if rule.applies(head)), None)
        targets = self._targets.get(group, ()) if group else ()
        if not targets or group is None:
            return None
        turn = self._turn.get(group, 0)
        self._turn[group] = turn + 1
        return Choice(group, targets[turn % len(targets)])
