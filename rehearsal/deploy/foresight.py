"""What an apply would do, found out by reading only."""

from __future__ import annotations

from rehearsal.deploy.deployment import Deployment, Made, Registration
from rehearsal.deploy.errors import RefusedError
from rehearsal.deploy.state import Resource


class Preview(Deployment):
    """Decides as a deployment does; creates, updates and deletes nothing, in the cloud or in the state."""

    def register(self, asked: Registration) -> Made:
        """The decision, and the outputs as far as they are known before anything happened."""
        kind, cloud = self.kind_of(asked.type), self._cloud(asked)
        self._note(asked.urn)
        kind.check(asked.inputs)
        old = self._live(asked)
        outputs = kind.read(self.clouds.get(region=old.region), old.id, old.inputs) if old else None
        if old is None or outputs is None:
            self._report("create", Resource(urn=asked.urn, type=asked.type, name=asked.name), 0.0)
            return Made("", {})
        wanted = self._wanted(kind, cloud, asked, old)
        decision = self._decide(kind, old, wanted, asked)
        if decision.action == "replace" and old.protect:
            raise RefusedError("it is protected and would have to be replaced; deploy it once without `protect`")
        self._report(decision.action, old, 0.0)
        if decision.action == "replace":
            return Made("", {})
        return Made(
            old.id, outputs if decision.action == "same" else {"arn": outputs["arn"]} if "arn" in outputs else {}
        )

    def remove_unregistered(self) -> None:
        """Say what would be deleted."""
        snapshot = self.state.snapshot
        for resource in [*snapshot.condemned, *(r for urn, r in snapshot.live.items() if urn not in self._seen)]:
            self._report("retain" if resource.retain_on_delete else "delete", resource, 0.0)
