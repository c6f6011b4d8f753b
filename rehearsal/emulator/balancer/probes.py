"""Health checks of targets, with the thresholds of an Application Load Balancer.

A target starts as `initial`. Its first passed check makes it healthy; later the group's thresholds of passed and failed
checks in a row apply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from rehearsal.emulator.balancer.listeners import Check, Group, Target

PUBLISHED_INITIAL = ("Elb.InitialHealthChecking", "Initial health checks in progress")
Probe = Callable[[Target, Check], Awaitable["Outcome"]]


@dataclass(frozen=True)
class Outcome:
    """The result of a check; a failed one has a reason in the words of DescribeTargetHealth."""

    passed: bool
    reason: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Health:
    """The state of a target; `streak` counts equal outcomes in a row."""

    state: str = "initial"
    passed: bool = False
    streak: int = 0
    reason: str | None = PUBLISHED_INITIAL[0]
    description: str | None = PUBLISHED_INITIAL[1]

    def after(self, outcome: Outcome, check: Check) -> Health:
        streak = self.streak + 1 if outcome.passed == self.passed else 1
        needed = 1 if self.state == "initial" else check.healthy_threshold
        if outcome.passed and (self.state == "healthy" or streak >= needed):
            return Health("healthy", True, streak, None, None)
        if not outcome.passed and (self.state == "unhealthy" or streak >= check.unhealthy_threshold):
            return Health("unhealthy", False, streak, outcome.reason, outcome.description)
        return Health(self.state, outcome.passed, streak, self.reason, self.description)


def http_probe(session: aiohttp.ClientSession) -> Probe:
    """Return a probe over HTTP that never raises: every failure is an outcome."""

    async def probe(target: Target, check: Check) -> Outcome:
        url = f"http://{target.address}:{check.port or target.port}{check.path}"
        timeout = aiohttp.ClientTimeout(total=check.timeout_seconds)
        try:
            async with session.get(url, timeout=timeout, allow_redirects=False) as reply:
                status = reply.status
        except TimeoutError:
            return Outcome(False, "Target.Timeout", "Request timed out")
        except (aiohttp.ClientError, OSError):
            return Outcome(False, "Target.FailedHealthChecks", "Health checks failed")
        if check.accepts(status):
            return Outcome(True)
        return Outcome(False, "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")

    return probe


class Prober:
    """The endless checks of all registered targets, and the health of each."""

    def __init__(self, probe: Probe, changed: Callable[[], None]) -> None:
        self._probe = probe
        self._changed = changed
        self._tasks: dict[tuple[str, Target, Check], asyncio.Task[None]] = {}
        self._health: dict[tuple[str, Target], Health] = {}

    def health(self, group: str, target: Target) -> Health:
        """Return the health of a target in a group; it is initial before the first check."""
        return self._health.get((group, target), Health())

    def follow(self, groups: Mapping[str, Group]) -> None:
        """Check exactly the targets of these groups from now on, and forget all others."""
        wanted = {(arn, target, group.check) for arn, group in groups.items() for target in group.targets}
        for key in set(self._tasks) - wanted:
            self._tasks.pop(key).cancel()
            if not any(other[:2] == key[:2] for other in wanted):
                self._health.pop(key[:2], None)
        for key in wanted - set(self._tasks):
            self._tasks[key] = asyncio.create_task(self._check_forever(*key))

    async def _check_forever(self, group: str, target: Target, check: Check) -> None:
        while True:
            outcome = await self._probe(target, check)
            before = self.health(group, target)
            after = before.after(outcome, check)
            self._health[group, target] = after
            if before.state != after.state:
                self._changed()
            await asyncio.sleep(check.interval_seconds)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
