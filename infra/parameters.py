"""The fleet's configuration as processes read it at boot: SSM parameters with JSON values, never a secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra import naming
from infra.plan import Plan
from infra.settings import Settings
from infra.storage import Storage


def values(settings: Settings, plan: Plan) -> dict[str, Mapping[str, object]]:
    """What is known before anything is created, by parameter key; `storage` comes with the buckets."""
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
        },
    }


def digest(settings: Settings) -> str:
    """A short hash of what processes read at their start and work by, so that a change of it asks for a roll-out."""
    read = {
        "embedding": _embedding(settings),
        "chunking": settings.chunking.model_dump(),
        "index": settings.index.model_dump(),
    }
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:12]


def recipe(settings: Settings, plan: Plan) -> dict[str, object]:
    """Give what a slot's build is made by and can't change."""
    return {
        "embedding": settings.embedding.model_dump(include={"provider", "model", "version", "dims"}),
        "chunking": settings.chunking.model_dump(),
        "index": settings.index.built.model_dump(),
        "shards": plan.shards,
    }


def _embedding(settings: Settings) -> dict[str, object]:
    """The model, and how it is reached where it runs elsewhere; the secret by its name alone."""
    embedding = settings.embedding
    secret = naming.embedding_secret(settings.fleet) if embedding.provider == "openai" else ""
    return {**embedding.model_dump(exclude={"url", "cidrs"}), "url": embedding.url or "", "secret": secret}


class Parameters(pulumi.ComponentResource):
    """Parameters below /vectorfleet/<fleet>/. `all` must exist before an instance boots."""

    def __init__(
        self, settings: Settings, plan: Plan, storage: Storage, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("vectorfleet:infra:Parameters", settings.fleet, None, opts)
        self._settings = settings
        self.prefix = naming.parameters_prefix(settings.fleet)
        # The others after it: where nobody previews, its refusal comes before they are written.
        first = self._recipe(recipe(settings, plan))
        after = pulumi.ResourceOptions(parent=self, depends_on=[first])
        self.storage = self._parameter("storage", pulumi.Output.json_dumps(storage.names), after)
        plain = [self._parameter(key, json.dumps(value), after) for key, value in values(settings, plan).items()]
        self.all: list[pulumi.Resource] = [first, self.storage, *plain]
        self.arn = self.storage.arn.apply(lambda arn: arn.removesuffix("/storage"))
        self.register_outputs({"prefix": self.prefix})

    def _recipe(self, value: Mapping[str, object]) -> aws.ssm.Parameter:
        """
        A changed recipe would replace this, and where data is protected Pulumi refuses that before it changes anything:
        in place it would break the slot's build. The resource's name is what a person then reads.
        """
        fleet, slot = self._settings.fleet, self._settings.slot
        kept = pulumi.ResourceOptions(
            parent=self,
            protect=self._settings.data_protection,
            replace_on_changes=["value"],
            delete_before_replace=True,
        )
        logical = f"{fleet}-{slot}-another-recipe-needs-another-slot"
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
            logical or f"{fleet}-{key}",
            name=naming.parameter(fleet, key),
            type="String",
            value=value,
            tags={"vectorfleet:fleet": fleet},
            opts=opts,
        )
