"""Instances that generate load: started for a load test and terminated after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.stack.outputs import Fleet

PARAMETER = "load-master"  # `vectorfleet worker` reads it


class GeneratorsError(Exception):
    """The stack has no generators, or fewer than asked for; the message says what to do."""


@dataclass(frozen=True)
class Master:
    """The address of Locust's master as generators reach it, and the processes that each runs for it."""

    host: str
    port: int
    processes: int


class Generators:
    """The group of a stack with `loadGenerators`."""

    def __init__(self, stack: Fleet) -> None:
        if stack.generator_group is None:
            raise GeneratorsError("The stack has no load generators; set loadGenerators.maximum and deploy it again.")
        self._scaling, self._ssm = stack.aws("autoscaling"), stack.aws("ssm")
        self._group, self.port = stack.generator_group, stack.generator_port
        self._parameter = f"{stack.parameters}/{PARAMETER}"

    def start(self, count: int, master: Master) -> None:
        """Set the master and start `count` instances for it. Raises GeneratorsError for more than the maximum."""
        most = int(self._described()["MaxSize"])
        if count > most:
            raise GeneratorsError(f"{count} generators are asked for; loadGenerators.maximum allows {most}.")
        self._ssm.put_parameter(Name=self._parameter, Value=json.dumps(vars(master)), Type="String", Overwrite=True)
        self._scaling.set_desired_capacity(AutoScalingGroupName=self._group, DesiredCapacity=count)

    def running(self) -> int:
        """Count the instances in service."""
        return sum(row["LifecycleState"] == "InService" for row in self._described()["Instances"])

    def await_running(
        self, count: int, within_seconds: float, sleep: Callable[[], None], clock: Callable[[], float]
    ) -> bool:
        """Return True if so many are in service within the time."""
        deadline = clock() + within_seconds
        while self.running() < count:
            if clock() > deadline:
                return False
            sleep()
        return True

    def stop(self) -> None:
        """Delete the master's address and terminate the instances; a second call does no harm."""
        self._scaling.set_desired_capacity(AutoScalingGroupName=self._group, DesiredCapacity=0)
        try:
            self._ssm.delete_parameter(Name=self._parameter)
        except self._ssm.exceptions.ParameterNotFound:
            return

    def _described(self) -> dict[str, Any]:
        found = self._scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self._group])["AutoScalingGroups"]
        if not found:
            raise GeneratorsError(f"There is no group {self._group}. Are the outputs those of the stack as it stands?")
        return dict(found[0])
