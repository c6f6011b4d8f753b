"""The API of lifecycle hooks: given with the group or later, completed, extended, described, deleted.

Corrects in moto 5.2.5: hooks given at the creation of a group are dropped; CompleteLifecycleAction and
RecordLifecycleActionHeartbeat are not implemented; a hook's target and role are constants, and a second put of
one field resets the others. AWS takes heartbeat time-outs from 30 seconds; here from 1, so that tests need not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import LifecycleHook
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult

from rehearsal.emulator import lifecycle
from rehearsal.emulator.autoscaling import LOCK, named, reconcile
from rehearsal.emulator.membership import retire

TRANSITIONS = (lifecycle.LAUNCHING, "autoscaling:EC2_INSTANCE_TERMINATING")
RESULTS = ("CONTINUE", "ABANDON")
LONGEST_HEARTBEAT_SECONDS = 7200
DEFAULT_HEARTBEAT_SECONDS = 3600


def _hook(group: str, asked: dict[str, Any], old: Any) -> LifecycleHook:
    """A hook as asked for; what is not said stays as it was. Raises ValidationError."""
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


def _creating(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def create_auto_scaling_group(self: Any) -> Any:
        backend, name = self.autoscaling_backend, self._get_param("AutoScalingGroupName")
        if name in backend.autoscaling_groups:
            return plain(self)
        try:
            # Before the group is: its first instances wait for them.
            for asked in self._get_params().get("LifecycleHookSpecificationList", []):
                _store(backend, name, asked)
            return plain(self)
        except Exception:
            _forget(backend, name)
            raise

    return create_auto_scaling_group


def _deleting(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def delete_auto_scaling_group(self: Any) -> Any:
        answer = plain(self)
        _forget(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
        return answer

    return delete_auto_scaling_group


def _put(self: Any) -> Any:
    with LOCK:
        group = _group(self)
        _store(self.autoscaling_backend, group.name, self._get_params())
    return EmptyResult()


def _delete(self: Any) -> Any:
    """A deleted hook lets go of the instances that it holds."""
    with LOCK:
        group, name = _group(self), self._get_param("LifecycleHookName")
        self.autoscaling_backend.delete_lifecycle_hook(group.name, name)
        for state in group.instance_states:
            if action := lifecycle.action_of(state, name, None):
                lifecycle.proceed(state, action)
        reconcile(group)
    return EmptyResult()


def _complete(self: Any) -> Any:
    result = self._get_param("LifecycleActionResult")
    if result not in RESULTS:
        raise ValidationError(f"LifecycleActionResult is {result!r}; allowed: {', '.join(RESULTS)}.")
    with LOCK:
        group = _group(self)
        state, action = _held(self, group)
        if result == "CONTINUE":
            lifecycle.proceed(state, action)
        else:
            retire(group, state, lifecycle.abandon(state, action, "Lifecycle Action Completed with ABANDON Result"))
        reconcile(group)
    return EmptyResult()


def _heartbeat(self: Any) -> Any:
    with LOCK:
        _, action = _held(self, _group(self))
        action.extend()
    return EmptyResult()


def _group(response: Any) -> Any:
    return named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))


def _held(response: Any, group: Any) -> tuple[Any, lifecycle.Action]:
    """Who is meant by instance or token, and the action that holds it. Raises ValidationError."""
    hook, token = response._get_param("LifecycleHookName"), response._get_param("LifecycleActionToken")
    instance = response._get_param("InstanceId")
    for state in group.instance_states:
        if instance in (None, state.instance_id) and (instance or token):
            action = lifecycle.action_of(state, hook, token)
            if action:
                return state, action
    meant = f"instance ID {instance}" if instance else f"token {token}"
    raise ValidationError(f"No active Lifecycle Action found with {meant}")


def install() -> None:
    """Put the corrections on moto's classes."""
    AutoScalingResponse.create_auto_scaling_group = _creating(AutoScalingResponse.create_auto_scaling_group)
    AutoScalingResponse.delete_auto_scaling_group = _deleting(AutoScalingResponse.delete_auto_scaling_group)
    AutoScalingResponse.put_lifecycle_hook = _put
    AutoScalingResponse.delete_lifecycle_hook = _delete
    AutoScalingResponse.complete_lifecycle_action = _complete
    AutoScalingResponse.record_lifecycle_action_heartbeat = _heartbeat
