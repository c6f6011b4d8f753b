"""Who serves: the weights of a listener's two target groups, seen and moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.operations.outputs import Outputs
from infra.operations.refreshes import aws


class WeightsError(Exception):
    """The weights can't be moved like that; the message says what to do."""


@dataclass(frozen=True)
class Slot:
    """One slot's target group: its share, and how many of its targets are healthy of how many."""

    name: str
    weight: int
    healthy: int
    targets: int


class Listener:
    """The front listener of a stack, through the load balancer's API."""

    def __init__(self, outputs: Outputs) -> None:
        self._arn = outputs.listener_arn
        self._groups = outputs.target_groups
        self._elb: Any = aws(outputs, "elbv2")

    def slots(self) -> list[Slot]:
        """Both slots as they are now."""
        weights = self._weights()
        return [self._slot(name, arn, weights.get(arn, 0)) for name, arn in sorted(self._groups.items())]

    def move(self, wanted: Mapping[str, int]) -> list[Slot]:
        """
        Give the slots these weights; returns them as they are then. Nothing happens where they are so already.

        Raises WeightsError where nobody would serve: all weights 0, or one above 0 for a slot without a healthy target.
        """
        slots = {slot.name: slot for slot in self.slots()}
        if not any(wanted.values()):
            raise WeightsError("All weights are 0, so nobody would serve; give one slot at least 1.")
        for name, weight in wanted.items():
            if weight and not slots[name].healthy:
                raise WeightsError(
                    f"Slot {name} has no healthy target of {slots[name].targets}; a weight above 0 would send requests "
                    "to nobody. Wait until its routers are healthy, or leave it at 0."
                )
        if any(slots[name].weight != weight for name, weight in wanted.items()):
            self._elb.modify_listener(ListenerArn=self._arn, DefaultActions=[self._action(wanted)])
        return self.slots()

    def _action(self, wanted: Mapping[str, int]) -> dict[str, Any]:
        groups = [{"TargetGroupArn": self._groups[name], "Weight": wanted[name]} for name in sorted(wanted)]
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}

    def _weights(self) -> dict[str, int]:
        (listener,) = self._elb.describe_listeners(ListenerArns=[self._arn])["Listeners"]
        (action,) = listener["DefaultActions"]
        return {group["TargetGroupArn"]: group["Weight"] for group in action["ForwardConfig"]["TargetGroups"]}

    def _slot(self, name: str, arn: str, weight: int) -> Slot:
        targets = self._elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        healthy = sum(target["TargetHealth"]["State"] == "healthy" for target in targets)
        return Slot(name, weight, healthy, len(targets))


def to_json(slots: list[Slot]) -> list[dict[str, object]]:
    """The slots as plain data."""
    return [asdict(slot) for slot in slots]
