"""One apply: each registered resource is compared with the state and reconciled, then all others are deleted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import msgspec

from rehearsal.deployer.cloud import Cloud, Clouds
from rehearsal.deployer.diff import Decision, as_recorded, decide, deletes_first, ignoring, with_defaults
from rehearsal.deployer.errors import DeployError, RefusedError, naming
from rehearsal.deployer.kind import Kind, found
from rehearsal.deployer.removal import dependents, remove_all
from rehearsal.deployer.resources import kind_of
from rehearsal.deployer.state import Properties, Resource, State

Verb = Literal["create", "update", "replace", "delete", "retain", "same"]
Report = Callable[[Verb, Resource, float], None]


@dataclass(frozen=True)
class Registration:
    """A resource as the program registers it, with the options that the state does not keep."""

    resource: Resource
    provider: str = ""
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The id and the known outputs of a resource, as the program gets them."""

    id: str
    outputs: Properties


class Deployment:
    """An apply to the cloud and the state. Several threads may register at once."""

    def __init__(self, state: State, clouds: Clouds, report: Report, table: Callable[[str], Kind] = kind_of) -> None:
        self.kind_of = table
        self.state = state
        self.clouds = clouds
        self.failure: str | None = None
        self._report = report
        self._seen: set[str] = set()
        self._displaced: set[str] = set()
        self._lock = threading.Lock()

    def fail(self, reason: str) -> None:
        """Stop creating resources. Only the first reason is kept."""
        with self._lock:
            self.failure = self.failure or reason

    def interrupt(self, reason: str) -> None:
        """Do as `fail` does, but from a signal handler: its own thread may hold the lock."""
        self.failure = self.failure or reason

    def clear_announced(self) -> None:
        """Delete the resources that an interrupted apply announced and may have created without recording them."""
        snapshot = self.state.snapshot
        known = {(r.type, r.id) for r in [*snapshot.live.values(), *snapshot.condemned]}
        for resource in sorted(snapshot.announced.values(), key=lambda r: -r.order):
            kind, cloud = self.kind_of(resource.type), self.clouds.get(region=resource.region)
            for id_ in found(partial(kind.find, cloud, resource.inputs)) or []:
                if (resource.type, id_) not in known:
                    with naming(resource.label):
                        kind.delete(cloud, msgspec.structs.replace(resource, id=id_))
            self.state.withdraw(resource)

    def register(self, asked: Registration) -> Answer:
        """Reconcile one resource. Raise DeployError with a sentence, or the error of the API."""
        kind, cloud = self._start(asked)
        started = time.monotonic()
        old, outputs = self._current(kind, asked)
        wanted = self._wanted(kind, cloud, asked, old)
        if old is None or outputs is None:
            result = self._create(kind, cloud, wanted)
            verb: Verb = "replace" if wanted.urn in self._displaced else "create"
        else:
            verb, result = self._reconcile(kind, cloud, old, outputs, wanted, asked)
        self._report(verb, result, time.monotonic() - started)
        return Answer(result.id, {**_readable(kind, result.inputs), **result.outputs})

    def look_up(self, type_: str, id_: str, inputs: Properties, provider: str) -> Answer:
        """Read a resource that the program does not own."""
        outputs = self.kind_of(type_).read(self.clouds.get(provider), id_, inputs)
        if outputs is None:
            raise DeployError(f"{id_} does not exist; `.get()` only reads an existing resource")
        return Answer(id_, outputs)

    def remove_unregistered(self) -> None:
        """Delete replaced resources and those that the program no longer registers."""
        self._remove(self._unregistered())

    def remove_everything(self) -> None:
        """Delete every resource in the state."""
        self._remove([*self.state.snapshot.condemned, *self.state.snapshot.live.values()])

    def _unregistered(self) -> list[Resource]:
        snapshot = self.state.snapshot
        return [*snapshot.condemned, *(r for urn, r in snapshot.live.items() if urn not in self._seen)]

    def _start(self, asked: Registration) -> tuple[Kind, Cloud]:
        """Return kind and cloud of a registration. Refuse it if the program registers it twice or it is unsupported."""
        new = asked.resource
        kind, cloud = self.kind_of(new.type), self.clouds.get(asked.provider, str(new.inputs.get("region", "")))
        with self._lock:
            if new.urn in self._seen:
                raise DeployError("the program registers it twice; give one of them another logical name")
            self._seen.add(new.urn)
        kind.check(new.inputs)
        return kind, cloud

    def _current(self, kind: Kind, asked: Registration) -> tuple[Resource | None, Properties | None]:
        """Return the live resource and its outputs. Forget one that vanished from the cloud."""
        old = self._live(asked)
        if old is None:
            return None, None
        new = asked.resource
        if old.urn != new.urn:
            former, old = old, msgspec.structs.replace(old, urn=new.urn, type=new.type, name=new.name)
            self.state.adopt(old, former.urn)
        outputs = kind.read(self.clouds.get(region=old.region), old.id, old.inputs)
        if outputs is None:
            self.state.forget(old)
            return None, None
        return old, outputs

    def _live(self, asked: Registration) -> Resource | None:
        """Return the live resource of the URN, or of the first alias that is alive and unregistered."""
        live = self.state.snapshot.live
        names = [asked.resource.urn, *(alias for alias in asked.aliases if alias not in self._seen)]
        return next((live[name] for name in names if name in live), None)

    def _wanted(self, kind: Kind, cloud: Cloud, asked: Registration, old: Resource | None) -> Resource:
        """Return the desired resource, without an id. It keeps an automatic name."""
        given = asked.resource.inputs
        inputs = ignoring(old.inputs, given, asked.ignore_changes) if old else dict(given)
        name = kind.name_property
        by_deployer = name is not None and name not in inputs
        if name is not None and by_deployer:
            kept = old.inputs.get(name) if old and old.named_by_deployer else None
            inputs[name] = kept or kind.new_name(asked.resource.name)
        return msgspec.structs.replace(
            asked.resource,
            region=cloud.region,
            inputs=with_defaults(kind, inputs, cloud.default_tags),
            named_by_deployer=by_deployer,
            order=old.order if old else self.state.next_order(),
        )

    def _reconcile(
        self, kind: Kind, cloud: Cloud, old: Resource, outputs: Properties, wanted: Resource, asked: Registration
    ) -> tuple[Verb, Resource]:
        decision = self._decide(kind, old, wanted, asked)
        if decision.action == "replace":
            return "replace", self._replace(kind, cloud, old, wanted, asked)
        if decision.action == "update":
            kind.update(cloud, old, wanted.inputs, decision.changed)
            outputs = self._outputs(kind, cloud, old.id, wanted)
        result = msgspec.structs.replace(wanted, id=old.id, outputs=outputs, inputs=as_recorded(kind, wanted.inputs))
        if result != old:
            self.state.record(result)
        return decision.action, result

    def _decide(self, kind: Kind, old: Resource, wanted: Resource, asked: Registration) -> Decision:
        if old.region != wanted.region:
            return Decision("replace", frozenset({"region"}))
        return decide(kind, old, wanted.inputs, asked.replace_on_changes)

    def _create(self, kind: Kind, cloud: Cloud, wanted: Resource) -> Resource:
        recorded = msgspec.structs.replace(wanted, inputs=as_recorded(kind, wanted.inputs))
        self.state.announce(recorded)
        id_ = kind.create(cloud, wanted.inputs)
        result = msgspec.structs.replace(recorded, id=id_, outputs=self._outputs(kind, cloud, id_, wanted))
        self.state.record(result)
        return result

    def _outputs(self, kind: Kind, cloud: Cloud, id_: str, wanted: Resource) -> Properties:
        outputs = kind.read(cloud, id_, wanted.inputs)
        if outputs is None:
            raise DeployError(f"{id_} does not exist right after its create; read the log of the emulated AWS")
        return outputs

    def _replace(self, kind: Kind, cloud: Cloud, old: Resource, wanted: Resource, asked: Registration) -> Resource:
        if old.protect:
            raise _protected("replaced")
        name = kind.name_property
        if old.named_by_deployer and wanted.named_by_deployer and name:
            # The old and the new one exist side by side for a while, so they need different names.
            wanted = msgspec.structs.replace(wanted, inputs={**wanted.inputs, name: kind.new_name(asked.resource.name)})
        if deletes_first(kind, old, wanted.inputs, asked.delete_before_replace):
            doomed = dependents(old.urn, list(self.state.snapshot.live.values()), self._forces_replacement)
            self._displaced.update(resource.urn for resource in doomed)
            for resource in [*doomed, old]:
                self._delete(resource)
        return self._create(kind, cloud, wanted)

    def _forces_replacement(self, resource: Resource, name: str) -> bool:
        return name in self.kind_of(resource.type).replaced_by

    def _remove(self, doomed: list[Resource]) -> None:
        protected = [resource for resource in doomed if resource.protect]
        if protected:
            raise _protected("deleted", protected[0].label)
        remove_all(doomed, self._delete, lambda: self.failure is not None)

    def _delete(self, resource: Resource) -> None:
        if resource.protect:
            raise _protected("deleted", resource.label)
        started = time.monotonic()
        if not resource.retain_on_delete:
            with naming(resource.label):
                self.kind_of(resource.type).delete(self.clouds.get(region=resource.region), resource)
        self.state.forget(resource)
        self._report(_removal(resource), resource, time.monotonic() - started)


class Preview(Deployment):
    """An apply that only reads. It makes the decisions of a deployment and changes neither cloud nor state."""

    def register(self, asked: Registration) -> Answer:
        """Report the decision, and return the outputs that are known before the deployment."""
        kind, cloud = self._start(asked)
        old = self._live(asked)
        outputs = kind.read(self.clouds.get(region=old.region), old.id, old.inputs) if old else None
        if old is None or outputs is None:
            self._report("create", asked.resource, 0.0)
            return Answer("", {})
        decision = self._decide(kind, old, self._wanted(kind, cloud, asked, old), asked)
        if decision.action == "replace" and old.protect:
            raise _protected("replaced")
        self._report(decision.action, old, 0.0)
        if decision.action == "replace":
            return Answer("", {})
        kept = outputs if decision.action == "same" else {key: outputs[key] for key in ("arn",) if key in outputs}
        return Answer(old.id, kept)

    def remove_unregistered(self) -> None:
        """Report the resources that would be deleted."""
        for resource in self._unregistered():
            self._report(_removal(resource), resource, 0.0)


def _removal(resource: Resource) -> Verb:
    return "retain" if resource.retain_on_delete else "delete"


def _protected(fate: str, label: str = "") -> RefusedError:
    """Return the refusal to replace or delete a resource. The caller of a registration adds the label."""
    return RefusedError(
        f"{label}{': ' if label else ''}it is protected and would have to be {fate}; nothing was done to it. To go on, "
        "deploy it once without `protect`"
    )


def _readable(kind: Kind, inputs: Properties) -> Properties:
    """Return the inputs that the program may read back without having given them: names, defaults and tags."""
    names = {*kind.defaults, "tagsAll", kind.name_property}
    return {key: value for key, value in inputs.items() if key in names}
