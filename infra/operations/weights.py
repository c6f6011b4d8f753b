"""The weights of the front listener's two target groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.stack.outputs import Fleet


class WeightsError(Exception):
    """The weights are refused; the message says what to do."""


@dataclass(frozen=True)
class Slot:
    """One slot's target group: its weight, its healthy targets, and all of them."""

    name: str
    weight: int
    healthy: int
    targets: int


class Listener:
    """The front listener of a stack."""

    def __init__(self, stack: Fleet) -> None:
        self._stack, self._groups = stack, stack.target_groups
        self._elb: Any = stack.aws("elbv2")

    def slots(self) -> list[Slot]:
        """Return both slots."""
        return [self._slot(name, weight) for name, weight in self._stack.weights().items()]

    def move(self, wanted: Mapping[str, int]) -> list[Slot]:
        """
        Set these weights and return the slots. Equal weights change nothing.

        Raises WeightsError if nobody would serve: all weights are 0, or a slot above 0 has no healthy target.
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
            self._elb.modify_listener(ListenerArn=self._stack.listener_arn, DefaultActions=[self._action(wanted)])
        return self.slots()

    def _action(self, wanted: Mapping[str, int]) -> dict[str, Any]:
        groups = [{"TargetGroupArn": self._groups[name], "Weight": wanted[name]} for name in sorted(wanted)]
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}

    def _slot(self, name: str, weight: int) -> Slot:
        targets = self._elb.describe_target_health(TargetGroupArn=self._groups[name])["TargetHealthDescriptions"]
        healthy = sum(target["TargetHealth"]["State"] == "healthy" for target in targets)
        return Slot(name, weight, healthy, len(targets))


def to_json(slots: list[Slot]) -> list[dict[str, object]]:
    """Return the slots as plain data."""
    return [asdict(slot) for slot in slots]
