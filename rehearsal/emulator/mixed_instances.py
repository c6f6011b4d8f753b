"""Groups of several instance types.

Corrects in moto 5.2.5: a group shows its launch template a second time beside the policy, forgets the policy with the
next update of anything else, and launches the template's type instead of the first of the list. Weights and Spot shares
are stored and not acted upon, and the first type is always to be had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from moto.autoscaling.models import FakeAutoScalingGroup


class Source(NamedTuple):
    """What a group launches: a version of its template, as which types; without types as the template's own."""

    version: str
    types: tuple[str, ...] = ()


def types_of(policy: dict[str, Any] | None) -> tuple[str, ...]:
    """The types of a mixed instances policy, the preferred one first."""
    overrides = (policy or {}).get("LaunchTemplate", {}).get("Overrides") or []
    return tuple(override["InstanceType"] for override in overrides)


def source(group: Any) -> Source:
    """What the group launches now."""
    return Source(group.launch_template_version, getattr(group, "launch_types", ()))


def launch_from(group: Any, chosen: Source) -> None:
    """Launch from this from now on. What the group shows as its own stays."""
    group.launch_template_version, group.launch_types = chosen


def become(group: Any, chosen: Source) -> None:
    """Launch from this, and show it."""
    launch_from(group, chosen)
    group.provided_launch_template_version = chosen.version
    if policy := getattr(group, "mixed_instances_policy", None):
        policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"] = chosen.version
        policy["LaunchTemplate"]["Overrides"] = [{"InstanceType": name} for name in chosen.types]


def _updating(plain: Callable[..., None]) -> Callable[..., None]:
    def update(self: Any, **asked: Any) -> None:
        given, own = asked.get("mixed_instances_policy"), self.mixed_instances_policy
        if given and own:
            asked["mixed_instances_policy"] = {**own, **given, "LaunchTemplate": _merged(own, given)}
        plain(self, **asked)
        if not given and not asked.get("launch_template"):
            self.mixed_instances_policy = own

    return update


def _merged(own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """AWS leaves alone what an update does not mention."""
    return {**own["LaunchTemplate"], **given.get("LaunchTemplate", {})}


def _configuring(plain: Callable[..., None]) -> Callable[..., None]:
    def configure(self: Any, launch_config_name: Any, launch_template: Any, mixed_instances_policy: Any) -> None:
        plain(self, launch_config_name, launch_template, mixed_instances_policy)
        if mixed_instances_policy:
            self.launch_types = types_of(mixed_instances_policy)
            self.provided_launch_template_version = self.launch_template_version
        elif launch_template:
            self.launch_types = ()

    return configure


def _shown_alone(plain: Any) -> Any:
    return property(lambda self: None if self.mixed_instances_policy else plain.fget(self))


def _first_type(plain: Any) -> Any:
    return property(lambda self: (*getattr(self, "launch_types", ()), plain.fget(self))[0])


def install() -> None:
    """Put the corrections on moto's classes."""
    FakeAutoScalingGroup.update = _updating(FakeAutoScalingGroup.update)
    FakeAutoScalingGroup._set_launch_configuration = _configuring(FakeAutoScalingGroup._set_launch_configuration)
    FakeAutoScalingGroup.launch_template = _shown_alone(FakeAutoScalingGroup.launch_template)
    FakeAutoScalingGroup.instance_type = _first_type(FakeAutoScalingGroup.instance_type)
