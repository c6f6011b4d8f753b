"""One apply: each registered resource is compared with the state and made true in the cloud, then the rest goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import msgspec

from rehearsal.deploy.cloud import Cloud, Clouds
from rehearsal.deploy.diff import Decision, decide, deletes_first, ignoring, remembered, settled
from rehearsal.deploy.errors import DeployError, RefusedError
from rehearsal.deploy.kind import Kind, found
from rehearsal.deploy.reasons import naming
from rehearsal.deploy.removal import dependents, remove_all
from rehearsal.deploy.state import Properties, Resource, State
from rehearsal.deploy.table import kind_of

Verb = Literal["create", "update", "replace", "delete", "retain", "same"]
Report = Callable[[Verb, Resource, float], None]


@dataclass(frozen=True)
class Registration:
    """What the program says about one resource."""

    urn: str
    type: str
    name: str
    inputs: Properties
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """What the program learns: the id, and the outputs that are modelled."""

    id: str
    outputs: Properties


class Deployment:
    """Applies registrations to the cloud and the state; several threads may register at once."""

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
        """Make nothing more; the first reason is the one that counts."""
        with self._lock:
            self.failure = self.failure or reason

    def interrupt(self, reason: str) -> None:
        """The same from a signal handler, which must not wait for a lock that its own thread may hold."""
        self.failure = self.failure or reason

    def clear_announced(self) -> None:
        """Remove what an interrupted apply announced, perhaps made, and did not live to record."""
        snapshot = self.state.snapshot
        known = {(r.type, r.id) for r in [*snapshot.live.values(), *snapshot.condemned]}
        for resource in sorted(snapshot.announced.values(), key=lambda r: -r.order):
            kind, cloud = self.kind_of(resource.type), self.clouds.get(region=resource.region)
            for id_ in found(partial(kind.find, cloud, resource.inputs)) or []:
                if (resource.type, id_) not in known:
                    with naming(resource):
                        kind.delete(cloud, msgspec.structs.replace(resource, id=id_))
            self.state.withdraw(resource)

    def register(self, asked: Registration) -> Made:
        """Make one resource true. Raises DeployError with a sentence, or what the API raised."""
        kind, cloud = self.kind_of(asked.type), self._cloud(asked)
        self._note(asked.urn)
        kind.check(asked.inputs)
        started = time.monotonic()
        old, outputs = self._current(kind, asked)
        wanted = self._wanted(kind, cloud, asked, old)
        if old is None or outputs is None:
            verb, made = self._first(kind, cloud, wanted)
        else:
            verb, made = self._again(kind, cloud, old, outputs, wanted, asked)
        self._report(verb, made, time.monotonic() - started)
        return Made(made.id, {**_shown(kind, made.inputs), **made.outputs})

    def look_up(self, type_: str, id_: str, inputs: Properties, provider: str) -> Made:
        """Read a resource that the program does not own."""
        outputs = self.kind_of(type_).read(self.clouds.get(provider), id_, inputs)
        if outputs is None:
            raise DeployError(f"{id_} does not exist; `.get()` only reads what somebody else made")
        return Made(id_, outputs)

    def remove_unregistered(self) -> None:
        """Delete what was replaced and what the program no longer registers."""
        snapshot = self.state.snapshot
        self._remove([*snapshot.condemned, *(r for urn, r in snapshot.live.items() if urn not in self._seen)])

    def remove_everything(self) -> None:
        """Delete all that the state holds."""
        self._remove([*self.state.snapshot.condemned, *self.state.snapshot.live.values()])

    def _note(self, urn: str) -> None:
        with self._lock:
            if urn in self._seen:
                raise DeployError("the program registers it twice; give one of them another logical name")
            self._seen.add(urn)

    def _cloud(self, asked: Registration) -> Cloud:
        return self.clouds.get(asked.provider, str(asked.inputs.get("region", "")))

    def _current(self, kind: Kind, asked: Registration) -> tuple[Resource | None, Properties | None]:
        """The live resource and its outputs; one that vanished from the cloud is forgotten, so that it is made anew."""
        old = self._live(asked)
        if old is None:
            return None, None
        if old.urn != asked.urn:
            former, old = old, msgspec.structs.replace(old, urn=asked.urn, type=asked.type, name=asked.name)
            self.state.adopt(old, former.urn)
        outputs = kind.read(self.clouds.get(region=old.region), old.id, old.inputs)
        if outputs is None:
            self.state.forget(old)
            return None, None
        return old, outputs

    def _live(self, asked: Registration) -> Resource | None:
        """The live resource of the registration's URN, or of its first alias that is alive and unregistered."""
        live = self.state.snapshot.live
        names = [asked.urn, *(alias for alias in asked.aliases if alias not in self._seen)]
        return next((live[name] for name in names if name in live), None)

    def _wanted(self, kind: Kind, cloud: Cloud, asked: Registration, old: Resource | None) -> Resource:
        """The resource as it shall be, still without id; a name made earlier is kept."""
        inputs = ignoring(old.inputs, asked.inputs, asked.ignore_changes) if old else dict(asked.inputs)
        name = kind.name_property
        by_deployer = name is not None and name not in inputs
        if name is not None and by_deployer:
            kept = old.inputs.get(name) if old and old.named_by_deployer else None
            inputs[name] = kept or kind.new_name(asked.name)
        return Resource(
            urn=asked.urn,
            type=asked.type,
            name=asked.name,
            region=cloud.region,
            inputs=settled(kind, inputs, cloud.default_tags),
            named_by_deployer=by_deployer,
            dependencies=asked.dependencies,
            property_dependencies=dict(asked.property_dependencies),
            protect=asked.protect,
            retain_on_delete=asked.retain_on_delete,
            delete_before_replace=bool(asked.delete_before_replace),
            order=old.order if old else self.state.next_order(),
        )

    def _first(self, kind: Kind, cloud: Cloud, wanted: Resource) -> tuple[Verb, Resource]:
        made = self._create(kind, cloud, wanted)
        return "replace" if wanted.urn in self._displaced else "create", made

    def _again(
        self, kind: Kind, cloud: Cloud, old: Resource, outputs: Properties, wanted: Resource, asked: Registration
    ) -> tuple[Verb, Resource]:
        decision = self._decide(kind, old, wanted, asked)
        if decision.action == "replace":
            return "replace", self._replace(kind, cloud, old, wanted, asked)
        if decision.action == "update":
            kind.update(cloud, old, wanted.inputs, decision.changed)
            outputs = self._outputs(kind, cloud, old.id, wanted)
        made = msgspec.structs.replace(wanted, id=old.id, outputs=outputs, inputs=remembered(kind, wanted.inputs))
        if made != old:
            self.state.record(made)
        return decision.action, made

    def _decide(self, kind: Kind, old: Resource, wanted: Resource, asked: Registration) -> Decision:
        if old.region != wanted.region:
            return Decision("replace", frozenset({"region"}))
        return decide(kind, old, wanted.inputs, asked.replace_on_changes)

    def _create(self, kind: Kind, cloud: Cloud, wanted: Resource) -> Resource:
        kept = msgspec.structs.replace(wanted, inputs=remembered(kind, wanted.inputs))
        self.state.announce(kept)
        id_ = kind.create(cloud, wanted.inputs)
        made = msgspec.structs.replace(kept, id=id_, outputs=self._outputs(kind, cloud, id_, wanted))
        self.state.record(made)
        return made

    def _outputs(self, kind: Kind, cloud: Cloud, id_: str, wanted: Resource) -> Properties:
        outputs = kind.read(cloud, id_, wanted.inputs)
        if outputs is None:
            raise DeployError(f"{id_} does not exist right after it was made; look at the log of the emulated AWS")
        return outputs

    def _replace(self, kind: Kind, cloud: Cloud, old: Resource, wanted: Resource, asked: Registration) -> Resource:
        if old.protect:
            raise _protected(old, "replaced")
        if old.named_by_deployer and wanted.named_by_deployer and kind.name_property:
            # Both live for a while, and a name can be taken once.
            wanted = replace_input(wanted, kind.name_property, kind.new_name(asked.name))
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
            raise _protected(protected[0], "deleted")
        remove_all(doomed, self._delete, lambda: self.failure is not None)

    def _delete(self, resource: Resource) -> None:
        if resource.protect:
            raise _protected(resource, "deleted")
        started = time.monotonic()
        if not resource.retain_on_delete:
            with naming(resource):
                self.kind_of(resource.type).delete(self.clouds.get(region=resource.region), resource)
        self.state.forget(resource)
        self._report("retain" if resource.retain_on_delete else "delete", resource, time.monotonic() - started)


def replace_input(resource: Resource, name: str, value: str) -> Resource:
    """The same resource with one other input."""
    return msgspec.structs.replace(resource, inputs={**resource.inputs, name: value})


def _protected(resource: Resource, what: str) -> RefusedError:
    return RefusedError(
        f"{resource.label}: it is protected and would have to be {what}; nothing was done to it. Deploy it once "
        "without `protect` if that is what you want"
    )


def _shown(kind: Kind, inputs: Properties) -> Properties:
    """Inputs that the program may read back though it did not give them: names, defaults and tags."""
    names = {*kind.defaults, "tagsAll", kind.name_property}
    return {key: value for key, value in inputs.items() if key in names}
