"""The instances that offer load: started for a load test and ended after it, so that they cost nothing in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.operations.outputs import Outputs
from infra.operations.refreshes import aws

PARAMETER = "load-master"  # `python -m loadtests worker` reads it


class GeneratorsError(Exception):
    """There are no generators to start, or not so many; the message says what to do."""


@dataclass(frozen=True)
class Master:
    """Where Locust's master listens, as the generators reach it, and how many processes each runs for it."""

    host: str
    port: int
    processes: int


class Generators:
    """The group of a stack with `loadGenerators`."""

    def __init__(self, outputs: Outputs) -> None:
        if outputs.generator_group is None:
            raise GeneratorsError("The stack has no load generators; set loadGenerators.maximum and deploy it again.")
        self._scaling, self._ssm = aws(outputs, "autoscaling"), aws(outputs, "ssm")
        self._group, self.port = outputs.generator_group, outputs.generator_port
        self._parameter = f"{outputs.parameters}/{PARAMETER}"

    def start(self, count: int, master: Master) -> None:
        """Name the master, and have so many instances work for it. Raises GeneratorsError for more than may be."""
        most = int(self._described()["MaxSize"])
        if count > most:
            raise GeneratorsError(f"{count} generators are asked for; loadGenerators.maximum allows {most}.")
        self._ssm.put_parameter(Name=self._parameter, Value=json.dumps(vars(master)), Type="String", Overwrite=True)
        self._scaling.set_desired_capacity(AutoScalingGroupName=self._group, DesiredCapacity=count)

    def running(self) -> int:
        """How many are in service."""
        return sum(row["LifecycleState"] == "InService" for row in self._described()["Instances"])

    def await_running(
        self, count: int, within_seconds: float, sleep: Callable[[], None], clock: Callable[[], float]
    ) -> bool:
        """Whether so many came into service in time."""
        deadline = clock() + within_seconds
        while self.running() < count:
            if clock() > deadline:
                return False
            sleep()
        return True

    def stop(self) -> None:
        """Forget the master and end the instances; twice does no harm."""
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
