"""Groups of several instance types.

Weights and Spot shares are stored and have no effect, and the first type is always available.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from moto.autoscaling.models import FakeAutoScalingGroup

from rehearsal.emulator.corrections import Method, corrects


class Source(NamedTuple):
    """The template version and the instance types that a group launches; without types the template's own."""

    version: str
    types: tuple[str, ...] = ()


def types_of(policy: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the types of a mixed instances policy, the preferred one first."""
    overrides = (policy or {}).get("LaunchTemplate", {}).get("Overrides") or []
    return tuple(override["InstanceType"] for override in overrides)


def source(group: Any) -> Source:
    return Source(group.launch_template_version, getattr(group, "launch_types", ()))


def launch_from(group: Any, chosen: Source) -> None:
    """Launch from this source from now on; the group shows its own as before."""
    group.launch_template_version, group.launch_types = chosen


def become(group: Any, chosen: Source) -> None:
    """Launch from this source, and show it."""
    launch_from(group, chosen)
    group.provided_launch_template_version = chosen.version
    if policy := getattr(group, "mixed_instances_policy", None):
        policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"] = chosen.version
        policy["LaunchTemplate"]["Overrides"] = [{"InstanceType": name} for name in chosen.types]


@corrects(FakeAutoScalingGroup, "update")
def _update(plain: Method, self: Any, **asked: Any) -> None:
    """Keep the policy, or the parts of it, that an update does not mention; moto drops them."""
    given, own = asked.get("mixed_instances_policy"), self.mixed_instances_policy
    if given and own:
        template = {**own["LaunchTemplate"], **given.get("LaunchTemplate", {})}
        asked["mixed_instances_policy"] = {**own, **given, "LaunchTemplate": template}
    plain(self, **asked)
    if not given and not asked.get("launch_template"):
        self.mixed_instances_policy = own


@corrects(FakeAutoScalingGroup, "_set_launch_configuration")
def _set_launch_configuration(
    plain: Method, self: Any, launch_config_name: Any, launch_template: Any, mixed_instances_policy: Any
) -> None:
    """Take the instance types from the policy; moto ignores them."""
    plain(self, launch_config_name, launch_template, mixed_instances_policy)
    if mixed_instances_policy:
        self.launch_types = types_of(mixed_instances_policy)
        self.provided_launch_template_version = self.launch_template_version
    elif launch_template:
        self.launch_types = ()


@corrects(FakeAutoScalingGroup, "launch_template")
def _launch_template(plain: Method, self: Any) -> Any:
    """Show the launch template in the policy alone; moto shows it a second time beside the policy."""
    return None if self.mixed_instances_policy else plain(self)


@corrects(FakeAutoScalingGroup, "instance_type")
def _instance_type(plain: Method, self: Any) -> Any:
    """Launch the first type of the policy; moto launches the template's."""
    return (*getattr(self, "launch_types", ()), plain(self))[0]
