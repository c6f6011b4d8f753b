"""The API of lifecycle hooks: hooks are put with the group or later, and actions are completed or extended.

AWS takes heartbeat timeouts from 30 seconds; here they begin at 1, so that tests need not wait.
"""

from __future__ import annotations

from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import LifecycleHook
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult

from rehearsal.emulator.aws.autoscaling import lifecycle
from rehearsal.emulator.aws.autoscaling.groups import LOCK, group_of_request, reconcile
from rehearsal.emulator.aws.autoscaling.membership import retire
from rehearsal.emulator.corrections import Method, adds, corrects, replaces

TRANSITIONS = (lifecycle.LAUNCHING, "autoscaling:EC2_INSTANCE_TERMINATING")
RESULTS = ("CONTINUE", "ABANDON")
LONGEST_HEARTBEAT_SECONDS = 7200
DEFAULT_HEARTBEAT_SECONDS = 3600


def _hook(group: str, asked: dict[str, Any], old: Any) -> LifecycleHook:
    """Make a hook from a request; what is not given stays as it was. Raises ValidationError."""
    before = vars(old) if old else {}
    transition = asked.get("LifecycleTransition") or before.get("lifecycle_transition")
    seconds = int(asked.get("HeartbeatTimeout") or before.get("heartbeat_timeout") or DEFAULT_HEARTBEAT_SECONDS)
    result = asked.get("DefaultResult") or before.get("default_result") or "ABANDON"
    if transition not in TRANSITIONS:
        raise ValidationError(f"LifecycleTransition is {transition!r}; allowed: {', '.join(TRANSITIONS)}.")
    if not 1 <= seconds <= LONGEST_HEARTBEAT_SECONDS:
        raise ValidationError(f"HeartbeatTimeout is {seconds}; allowed: up to {LONGEST_HEARTBEAT_SECONDS} seconds.")
    if result not in RESULTS:
        raise ValidationError(f"DefaultResult is {result!r}; allowed: {', '.join(RESULTS)}.")
    hook = LifecycleHook(asked["LifecycleHookName"], group, transition, seconds, result)
    hook.notification_target_arn = asked.get("NotificationTargetARN") or before.get("notification_target_arn")
    hook.role_arn = asked.get("RoleARN") or before.get("role_arn")
    hook.notification_metadata = asked.get("NotificationMetadata") or before.get("notification_metadata")
    hook.global_timeout = min(lifecycle.LONGEST_IN_TIMEOUTS * seconds, lifecycle.LONGEST_SECONDS)
    return hook


def _store(backend: Any, group: str, asked: dict[str, Any]) -> None:
    key = f"{group}_{asked['LifecycleHookName']}"
    backend.lifecycle_hooks[key] = _hook(group, asked, backend.lifecycle_hooks.get(key))


def _forget(backend: Any, group: str) -> None:
    for hook in backend.describe_lifecycle_hooks(group):
        backend.delete_lifecycle_hook(group, hook.name)


@corrects(AutoScalingResponse, "create_auto_scaling_group")
def _create_auto_scaling_group(plain: Method, self: Any) -> Any:
    """Store the hooks of the request, which moto drops, before the group launches its first instances."""
    backend, name = self.autoscaling_backend, self._get_param("AutoScalingGroupName")
    if name in backend.autoscaling_groups:
        return plain(self)
    try:
        for asked in self._get_params().get("LifecycleHookSpecificationList", []):
            _store(backend, name, asked)
        return plain(self)
    except Exception:
        _forget(backend, name)
        raise


@corrects(AutoScalingResponse, "delete_auto_scaling_group")
def _delete_auto_scaling_group(plain: Method, self: Any) -> Any:
    """Delete the group's hooks with it."""
    answer = plain(self)
    _forget(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
    return answer


@replaces(AutoScalingResponse, "put_lifecycle_hook")
def _put_lifecycle_hook(self: Any) -> Any:
    """Keep the fields that a second put does not name, and store target and role, which are constants in moto."""
    with LOCK:
        _store(self.autoscaling_backend, group_of_request(self).name, self._get_params())
    return EmptyResult()


@replaces(AutoScalingResponse, "delete_lifecycle_hook")
def _delete_lifecycle_hook(self: Any) -> Any:
    """Let the instances proceed that the deleted hook holds."""
    with LOCK:
        group, name = group_of_request(self), self._get_param("LifecycleHookName")
        self.autoscaling_backend.delete_lifecycle_hook(group.name, name)
        for state in group.instance_states:
            if action := lifecycle.action_of(state, name, None):
                lifecycle.proceed(state, action)
        reconcile(group)
    return EmptyResult()


@adds(AutoScalingResponse, "complete_lifecycle_action")
def _complete_lifecycle_action(self: Any) -> Any:
    result = self._get_param("LifecycleActionResult")
    if result not in RESULTS:
        raise ValidationError(f"LifecycleActionResult is {result!r}; allowed: {', '.join(RESULTS)}.")
    with LOCK:
        group = group_of_request(self)
        state, action = _action_of_request(self, group)
        if result == "CONTINUE":
            lifecycle.proceed(state, action)
        else:
            retire(group, state, lifecycle.abandon(state, action, "Lifecycle Action Completed with ABANDON Result"))
        reconcile(group)
    return EmptyResult()


@adds(AutoScalingResponse, "record_lifecycle_action_heartbeat")
def _record_lifecycle_action_heartbeat(self: Any) -> Any:
    with LOCK:
        _, action = _action_of_request(self, group_of_request(self))
        action.extend()
    return EmptyResult()


def _action_of_request(response: Any, group: Any) -> tuple[Any, lifecycle.Action]:
    """Return the member that a request names by instance or token, and its action. Raises ValidationError."""
    hook, token = response._get_param("LifecycleHookName"), response._get_param("LifecycleActionToken")
    instance = response._get_param("InstanceId")
    for state in group.instance_states:
        if instance in (None, state.instance_id) and (instance or token):
            action = lifecycle.action_of(state, hook, token)
            if action:
                return state, action
    meant = f"instance ID {instance}" if instance else f"token {token}"
    raise ValidationError(f"No active Lifecycle Action found with {meant}")
