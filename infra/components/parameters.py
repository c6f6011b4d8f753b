"""The configuration that processes read at boot: SSM parameters with JSON values, no secret among them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra.components.storage import Storage
from infra.configuration.settings import Settings, SlotSettings
from infra.facts import naming
from infra.planning.plan import Plan, Plans


def values(settings: SlotSettings, plan: Plan) -> dict[str, Mapping[str, object]]:
    """Return the values that are known before anything is created, by key; `storage` follows with the buckets."""
    return {
        "embedding": _embedding(settings),
        "chunking": settings.chunking.model_dump(),
        "index": settings.index.model_dump(),
        "fleet": {
            "shards": plan.shards,
            "replicas": plan.replicas,
            "metrics_period_seconds": settings.alarm_period_seconds,
            "lag_seconds": settings.indexing.lag_seconds,
            "snapshot_seconds": round(settings.snapshot_hours * 3600),
            "access_keys": naming.access_keys_prefix(settings.fleet) if settings.authentication == "keys" else "",
            "indexing": settings.indexing.mode,
            "until": settings.until,
        },
    }


def digest(settings: SlotSettings) -> str:
    """Return a short hash of the values that processes read at their start, so that a change asks for a roll-out."""
    read = {
        "embedding": _embedding(settings),
        "chunking": settings.chunking.model_dump(),
        "index": settings.index.model_dump(),
    }
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:12]


def recipe(settings: SlotSettings, plan: Plan) -> dict[str, object]:
    """Return the values that a slot's build is made by; a build cannot change them."""
    return {
        "embedding": settings.embedding.model_dump(include={"provider", "model", "version", "dims"}),
        "chunking": settings.chunking.model_dump(),
        "index": settings.index.built.model_dump(),
        "shards": plan.shards,
    }


def _embedding(settings: SlotSettings) -> dict[str, object]:
    """Return the model, and the address of a remote one; its secret by name alone."""
    embedding = settings.embedding
    own = {"url": embedding.url or "", "secret": settings.embedding_secret}
    return {**embedding.model_dump(exclude={"url", "cidrs"}), **own}


class Parameters(pulumi.ComponentResource):
    """
    Parameters below /vectorfleet/<fleet>/, and below /vectorfleet/<fleet>/<slot>/ those of a slot with keys of its own.

    `all` must exist before an instance boots.
    """

    def __init__(
        self, settings: Settings, plans: Plans, storage: Storage, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("vectorfleet:infra:Parameters", settings.fleet, None, opts)
        self._settings = settings
        self.prefix = naming.parameters_prefix(settings.fleet)
        # Written first: without a preview, its refusal comes before the others are changed.
        first = [self._recipe(one.slot, recipe(one, plans[one.slot])) for one in settings.deployed]
        after = pulumi.ResourceOptions(parent=self, depends_on=first)
        self.storage = self._parameter("storage", pulumi.Output.json_dumps(storage.names), after)
        # Slots without keys of their own have the same values, and share their parameters.
        found = {
            f"{one.slot}/{key}" if one.recipe.model_fields_set else key: value
            for one in settings.deployed
            for key, value in values(one, plans[one.slot]).items()
        }
        plain = [self._parameter(key, json.dumps(value), after) for key, value in found.items()]
        self.all: list[pulumi.Resource] = [*first, self.storage, *plain]
        self.arn = self.storage.arn.apply(lambda arn: arn.removesuffix("/storage"))
        self.register_outputs({"prefix": self.prefix})

    def _recipe(self, slot: str, value: Mapping[str, object]) -> aws.ssm.Parameter:
        """
        Register the recipe so that a change replaces it.

        Pulumi refuses to replace a protected resource before it changes anything. Changed in place, the recipe would
        break the slot's build. The refusal shows the resource's name.
        """
        kept = pulumi.ResourceOptions(
            parent=self,
            protect=self._settings.data_protection,
            replace_on_changes=["value"],
            delete_before_replace=True,
        )
        logical = f"{self._settings.fleet}-{slot}-another-recipe-needs-another-slot"
        return self._parameter(f"recipe-{slot}", json.dumps(value), kept, logical=logical)

    def _parameter(
        self,
        key: str,
        value: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
        *,
        logical: str | None = None,
    ) -> aws.ssm.Parameter:
        fleet = self._settings.fleet
        return aws.ssm.Parameter(
            logical or f"{fleet}-{key.replace('/', '-')}",
            name=naming.parameter(fleet, key),
            type="String",
            value=value,
            tags={"vectorfleet:fleet": fleet},
            opts=opts,
        )
