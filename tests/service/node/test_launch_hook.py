"""A node tells its group once, when it is ready, and no answer from AWS ends the node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from service.node import launch_hook
from service.node.launch_hook import LaunchHook
from service.node.process import InheritedSockets, Node
from service.settings import Process


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_hook, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(launch_hook, "RETRY_SECONDS", 0.001)


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "CompleteLifecycleAction")


@dataclass
class Scaling:
    """An Auto Scaling API with one instance; `troubles` are raised one per call before anything else."""

    states: list[str] = field(default_factory=lambda: ["Pending:Wait"])
    timeout_seconds: float = 0.003
    troubles: list[Exception] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def _answer(self, what: str) -> None:
        self.done.append(what)
        if self.troubles:
            raise self.troubles.pop(0)

    def describe_auto_scaling_instances(self, **asked: Any) -> dict[str, Any]:
        self._answer("find")
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        found = [{"AutoScalingGroupName": "cell", "LifecycleState": state}] if state else []
        return {"AutoScalingInstances": found}

    def describe_lifecycle_hooks(self, **asked: Any) -> dict[str, Any]:
        return {"LifecycleHooks": [{"HeartbeatTimeout": self.timeout_seconds}]}

    def record_lifecycle_action_heartbeat(self, **asked: str) -> None:
        self._answer("beat")

    def complete_lifecycle_action(self, **asked: str) -> None:
        assert asked == {
            "AutoScalingGroupName": "cell",
            "LifecycleHookName": "ready",
            "InstanceId": "i-1",
            "LifecycleActionResult": "CONTINUE",
        }
        self._answer("complete")


def serve(api: Scaling, *, ready: Callable[[], bool], restoring: Callable[[], bool] = lambda: True) -> list[str]:
    """Run the hook to its end; return the calls it made."""
    hook = LaunchHook("ready", "i-1", ready=ready, restoring=restoring, connect=lambda _: api)

    async def run() -> None:
        async with asyncio.timeout(10):
            await hook.run()

    asyncio.run(run())
    return api.done


def after(calls: int) -> Callable[[], bool]:
    """Return false this many times, then true."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_a_ready_node_completes_its_hook_once() -> None:
    assert serve(Scaling(), ready=lambda: True) == ["find", "complete"]


def test_a_restoring_node_sends_heartbeats_until_it_is_ready() -> None:
    api = Scaling()
    done = serve(api, ready=lambda: api.done.count("beat") >= 3)
    assert done == ["find", "beat", "beat", "beat", "complete"]


def test_a_node_that_does_not_restore_gets_no_more_time() -> None:
    assert serve(Scaling(), ready=after(50), restoring=lambda: False) == ["find", "complete"]


def test_a_restart_on_an_instance_in_service_does_nothing() -> None:
    assert serve(Scaling(["InService"]), ready=lambda: True) == ["find"]


def test_the_hook_waits_for_an_instance_that_is_not_held_yet() -> None:
    assert serve(Scaling(["", "Pending", "Pending:Wait"]), ready=lambda: True) == ["find"] * 3 + ["complete"]


def test_a_failed_call_is_tried_again() -> None:
    unreachable = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    api = Scaling(troubles=[unreachable, refusal("Throttling")])
    assert serve(api, ready=lambda: True) == ["find"] * 3 + ["complete"]


def test_a_completion_that_fails_is_tried_again() -> None:
    api = Scaling()

    def ready() -> bool:
        api.troubles = [refusal("Throttling")]
        return True

    assert serve(api, ready=ready) == ["find", "complete", "complete"]


def test_a_refused_heartbeat_is_no_reason_to_give_up() -> None:
    api = Scaling()

    def ready() -> bool:
        if api.done.count("beat") == 0:
            api.troubles = [refusal("ValidationError")]
        return api.done.count("beat") >= 2

    assert serve(api, ready=ready)[-1] == "complete"


def test_a_hook_that_has_ended_needs_no_completion() -> None:
    api = Scaling()

    def ready() -> bool:
        api.troubles = [refusal("ValidationError")]
        return True

    assert serve(api, ready=ready) == ["find", "complete"]


@pytest.mark.parametrize(("hook", "tasks"), [("", 1), ("ready", 2)])
def test_only_a_node_with_a_configured_hook_completes_one(hook: str, tasks: int) -> None:
    process = Process(fleet="f", role="node", slot="blue", parameters="/f", lifecycle_hook=hook)
    assert len(Node(process, InheritedSockets(-1, -1))._tasks()) == tasks
