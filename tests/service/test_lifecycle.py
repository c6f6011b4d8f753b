"""A node tells its group once, and only once it is ready; nothing that AWS says ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from service.node import lifecycle
from service.node.lifecycle import LaunchHook
from service.node.process import Handed, Node
from service.settings import Process


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(lifecycle, "RETRY_SECONDS", 0.001)


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
    """Run the hook to its end; what it did."""
    hook = LaunchHook("ready", "i-1", ready=ready, restoring=restoring, connect=lambda _: api)

    async def run() -> None:
        async with asyncio.timeout(10):
            await hook.run()

    asyncio.run(run())
    return api.done


def after(calls: int) -> Callable[[], bool]:
    """False so many times, then true."""
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


def test_an_instance_that_its_group_does_not_hold_yet_is_looked_for_again() -> None:
    assert serve(Scaling(["", "Pending", "Pending:Wait"]), ready=lambda: True) == ["find"] * 3 + ["complete"]


def test_what_fails_is_tried_again() -> None:
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


def test_a_hook_that_is_over_settles_it() -> None:
    api = Scaling()

    def ready() -> bool:
        api.troubles = [refusal("ValidationError")]
        return True

    assert serve(api, ready=ready) == ["find", "complete"]


@pytest.mark.parametrize(("hook", "tasks"), [("", 1), ("ready", 2)])
def test_only_a_node_that_is_told_of_a_hook_serves_one(hook: str, tasks: int) -> None:
    process = Process(fleet="f", role="node", slot="blue", parameters="/f", lifecycle_hook=hook)
    assert len(Node(process, Handed(-1, -1))._tasks()) == tasks
