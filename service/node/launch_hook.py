"""The launch hook of the node's Auto Scaling group: the instance counts once its node may serve."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from service.storage.objects import aws_client

T = TypeVar("T")
WAITING = "Pending:Wait"
POLL_SECONDS = 0.2
RETRY_SECONDS = 2.0
# One or two lost heartbeats must not cost the instance.
HEARTBEATS_PER_TIMEOUT = 3

log = logging.getLogger(__name__)


class NotInAGroup(Exception):
    """No Auto Scaling group has the instance, or not with the hook."""


class Hold(NamedTuple):
    """The hook that holds the instance: its group, and the time-out that a heartbeat restarts."""

    group: str
    timeout_seconds: float


class LaunchHook:
    """The group's hook `name` for `instance`, completed as soon as `ready()`, and extended while `restoring()`.

    A node that does neither is abandoned by its group at the hook's time-out, and replaced. A refusal by AWS never ends
    the node: it is logged and tried again.
    """

    def __init__(
        self,
        name: str,
        instance: str,
        *,
        ready: Callable[[], bool],
        restoring: Callable[[], bool],
        connect: Callable[[str], Any] = aws_client,
    ) -> None:
        self._name, self._instance = name, instance
        self._ready, self._restoring = ready, restoring
        self._connect = connect
        self._client: Any = None

    async def run(self) -> None:
        """Return when the instance is in service, through this node or already before."""
        hold = await self._insisting(self._find)
        if hold is None:
            return
        await self._wait(hold)
        await self._insisting(lambda: self._complete(hold))

    async def _insisting(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return await asyncio.to_thread(call)
            except (BotoCoreError, ClientError, NotInAGroup) as error:
                log.warning("the launch hook could not be completed; trying again", extra={"reason": str(error)})
                await asyncio.sleep(RETRY_SECONDS)

    def _find(self) -> Hold | None:
        """Return the hook's hold; None once the instance is in service, as after a restart of the process."""
        if self._client is None:
            self._client = self._connect("autoscaling")
        known = self._client.describe_auto_scaling_instances(InstanceIds=[self._instance])["AutoScalingInstances"]
        if not known:
            raise NotInAGroup(f"no Auto Scaling group has the instance {self._instance}")
        group, state = known[0]["AutoScalingGroupName"], known[0]["LifecycleState"]
        if not state.startswith("Pending"):
            return None
        hooks = self._client.describe_lifecycle_hooks(AutoScalingGroupName=group, LifecycleHookNames=[self._name])
        if state != WAITING or not hooks["LifecycleHooks"]:
            raise NotInAGroup(f"{self._instance} is {state} in {group}, but not held by the hook {self._name}")
        return Hold(group, float(hooks["LifecycleHooks"][0]["HeartbeatTimeout"]))

    async def _wait(self, hold: Hold) -> None:
        pause = hold.timeout_seconds / HEARTBEATS_PER_TIMEOUT
        due = time.monotonic() + pause
        while not self._ready():
            if time.monotonic() >= due and self._restoring():
                await asyncio.to_thread(self._beat, hold)
                due = time.monotonic() + pause
            await asyncio.sleep(POLL_SECONDS)

    def _beat(self, hold: Hold) -> None:
        try:
            self._client.record_lifecycle_action_heartbeat(**self._action(hold))
        except (BotoCoreError, ClientError) as error:
            log.warning("a heartbeat was refused", extra={"reason": str(error)})

    def _complete(self, hold: Hold) -> None:
        try:
            self._client.complete_lifecycle_action(**self._action(hold), LifecycleActionResult="CONTINUE")
        except ClientError as error:
            # The time-out or an operator was faster: the group has decided.
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            log.warning("the launch hook had ended already", extra={"reason": str(error)})
            return
        log.info("in service", extra={"group": hold.group, "hook": self._name})

    def _action(self, hold: Hold) -> dict[str, str]:
        return {"AutoScalingGroupName": hold.group, "LifecycleHookName": self._name, "InstanceId": self._instance}
