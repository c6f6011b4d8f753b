"""
A recording of the program's resources, as Pulumi's engine would see them.

Outputs come from a model. An output that the model does not know stays unknown, and a request with an unknown input is
refused: a mock that leaves an output out would drop the key in silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.output import Unknown
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.settings import SETTINGS, set_root_resource

STACK_TYPE = "pulumi:pulumi:Stack"

Outputs = Mapping[str, object]
Model = Callable[[str, str, Outputs], Outputs]


class UnknownInputError(ValueError):
    """A resource's input depends on an output that the model does not know."""


@dataclass(frozen=True)
class RecordedResource:
    """A registered resource: camelCase inputs and the options that matter."""

    type: str
    name: str
    urn: str
    inputs: dict[str, Any]
    parent: str = ""
    protect: bool = False
    retain_on_delete: bool = False
    dependencies: tuple[str, ...] = ()
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool = False
    aliases: tuple[str, ...] = ()
    custom: bool = True
    provider: str = ""


@dataclass
class Recording:
    """The resources of one run in a stable order, and its exported outputs."""

    resources: list[RecordedResource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of_type(self, type_: str) -> list[RecordedResource]:
        """Return the resources of one type token."""
        return [resource for resource in self.resources if resource.type == type_]

    def named(self, urn: str) -> RecordedResource:
        """Return the resource of a URN."""
        return next(resource for resource in self.resources if resource.urn == urn)


class _Model(Mocks):
    def __init__(self, model: Model) -> None:
        self._model = model

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        if not args.custom:
            return "", {}
        known = {**args.inputs, **self._model(args.typ, args.name, args.inputs)}
        unknown = {name: rpc.UNKNOWN for name in output_names(args.typ) if name not in known}
        return str(known.pop("id")), {**unknown, **known}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(f"the program calls {args.token}, which the recording does not model")


class _Monitor(MockMonitor):
    """A monitor that keeps each request; pulumi calls it from several threads at once."""

    def __init__(self, mocks: Mocks) -> None:
        super().__init__(mocks)
        self.registered: dict[str, RecordedResource] = {}
        self.exported: dict[str, Any] = {}
        self._lock = threading.Lock()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        with _loop_of_this_thread():
            response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        inputs = _plain(rpc.deserialize_properties(request.object, keep_unknowns=True))
        resource = RecordedResource(
            type=request.type,
            name=request.name,
            urn=response.urn,
            inputs=inputs,
            parent=request.parent,
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            dependencies=tuple(sorted(request.dependencies)),
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            delete_before_replace=request.deleteBeforeReplace,
            aliases=tuple(alias.urn or alias.spec.name for alias in request.aliases),
            custom=request.custom,
            provider=request.provider,
        )
        with self._lock:
            if resource.urn in self.registered and request.type != STACK_TYPE:
                raise ValueError(f"two resources have the URN {resource.urn}; give one of them another name.")
            self.registered[resource.urn] = resource
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if request.urn.split("::")[2] == STACK_TYPE:
            # The root stack of set_mocks has none, and its request may come after the program's.
            self.exported |= _plain(rpc.deserialize_properties(request.outputs, keep_unknowns=True))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _loop_of_this_thread() -> Iterator[None]:
    """Close the event loops that the mock monitor opens in its worker threads."""
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    try:
        yield
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def record(
    program: Callable[[], None], config: Mapping[str, str], *, project: str, stack: str, model: Model
) -> Recording:
    """
    Run `program` in this process and record its requests; outputs come from the model.

    Raises UnknownInputError for an input without a known output, and whatever the program raises.
    """
    monitor = _Monitor(_Model(model))
    # Configuration and root resource are context variables; the next run must not see them.
    contextvars.copy_context().run(_run, program, config, monitor, project, stack)
    recording = Recording(_ordered(monitor.registered), monitor.exported)
    _refuse_unknowns(recording)
    return recording


def _run(program: Callable[[], None], config: Mapping[str, str], monitor: _Monitor, project: str, stack: str) -> None:
    pulumi.runtime.set_all_config(dict(config))
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    try:
        set_mocks(monitor.mocks, project=project, stack=stack, preview=False, monitor=monitor)
        # set_mocks makes a root stack and finishes it at once. run_in_stack, as Pulumi's executor calls it, wants
        # none and then registers the program's exports.
        set_root_resource(None)  # type: ignore[arg-type]
        loop.run_until_complete(pulumi.runtime.run_in_stack(program))
    finally:
        SETTINGS.outputs.clear()  # a failed run leaves tasks of its closed loop; the next run would await them
        loop.close()
        asyncio.set_event_loop(None)


def output_names(type_: str) -> list[str]:
    """Return the output properties of a resource type in camelCase, as the SDK declares them; none of a provider."""
    package, module, name = type_.split(":")
    if package == "pulumi":
        return []
    sdk = importlib.import_module(f"pulumi_{package}.{module.split('/')[0]}")
    declared = vars(getattr(sdk, name)).values()
    getters = (member.fget for member in declared if isinstance(member, property))
    return [str(vars(getter)["_pulumi_name"]) for getter in getters if "_pulumi_name" in vars(getter)]


def _ordered(registered: Mapping[str, RecordedResource]) -> list[RecordedResource]:
    """Sort the resources, since registration is concurrent, and leave the stack itself out."""
    return [registered[urn] for urn in sorted(registered) if registered[urn].type != STACK_TYPE]


def _plain(value: Any) -> Any:
    """
    Return the value without additions of the wire: marks of secrets, and floats for whole numbers.

    The SDK marks every parameter value as a secret; none of ours is one.
    """
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, pulumi.FileAsset):
        return str(value.path)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _refuse_unknowns(recording: Recording) -> None:
    for resource in recording.resources:
        for path in _unknown_paths(resource.inputs, ""):
            raise UnknownInputError(
                f"{resource.type} {resource.name}: input {path} depends on an output the model does not know."
            )
    for path in _unknown_paths(recording.outputs, ""):
        raise UnknownInputError(f"stack output {path} depends on an output the model does not know.")


def _unknown_paths(value: Any, path: str) -> list[str]:
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in _unknown_paths(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in _unknown_paths(item, f"{path}[{i}]")]
    is_unknown = isinstance(value, Unknown) or (isinstance(value, str) and rpc.UNKNOWN in value)
    return [path.lstrip(".")] if is_unknown else []
