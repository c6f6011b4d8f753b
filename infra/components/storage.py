"""The three buckets of the data, and the artifact that every process runs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.boot.artifact import Artifact
from infra.boot.model_files import ModelFiles
from infra.boot.wheelhouse import Wheelhouse
from infra.components import policies
from infra.components.bucket import BucketArgs, FleetBucket, Statements
from infra.components.keys import Keys
from infra.components.logs import AccessLogs
from infra.configuration.settings import Settings
from infra.facts import naming


@dataclass(frozen=True)
class Ground:
    """The surroundings of every bucket of the fleet's own region."""

    account: pulumi.Input[str]
    keys: Keys
    logs: AccessLogs


class Storage(pulumi.ComponentResource):
    """Buckets `documents` (raw text for ever), `index` (logs and snapshots), `artifacts` (code)."""

    def __init__(
        self,
        settings: Settings,
        ground: Ground,
        artifact: Artifact,
        wheelhouse: Wheelhouse | None,
        models: Sequence[ModelFiles],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:Storage", settings.fleet, None, opts)
        self._settings, self._ground = settings, ground
        self.documents = self._bucket("documents", policies.documents_log_is_append_only)
        self.index = self._bucket("index", policies.shard_logs_are_append_only)
        self.artifacts = self._bucket("artifacts", policies.nothing_more)
        self.artifact, self.wheelhouse = artifact, wheelhouse
        self.programs: list[pulumi.Resource] = [self._upload(artifact)]
        if wheelhouse is not None:
            self.programs.append(self._upload_file("wheelhouse", wheelhouse.key, wheelhouse.path))
        for model in models:
            name = "model" if model.version == settings.embedding.version else f"model-{model.version}"
            self.programs.append(self._upload_file(name, model.key, model.path))
        self.register_outputs({"documents": self.documents.bucket.id, "index": self.index.bucket.id})

    @property
    def names(self) -> dict[str, pulumi.Output[str]]:
        """Bucket names by role."""
        return {
            "documents": self.documents.bucket.id,
            "index": self.index.bucket.id,
            "artifacts": self.artifacts.bucket.id,
        }

    @property
    def ready(self) -> list[pulumi.Resource]:
        """Resources that exist before a process writes: the guarded data buckets, and the processes' code."""
        return [*self.documents.ready, *self.index.ready, *self.programs]

    def _bucket(self, role: str, statements: Statements) -> FleetBucket:
        ground = self._ground
        return FleetBucket(
            BucketArgs(
                fleet=self._settings.fleet,
                role=role,
                name=naming.logical("bucket", self._settings.fleet, role),
                protected=self._settings.data_protection,
                account=ground.account,
                key_arn=ground.keys.data.arn,
                logs=ground.logs.target,
                statements=statements,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _upload(self, artifact: Artifact) -> aws.s3.BucketObjectv2:
        """Upload content, not a file asset: the zip is small, and not every engine supports assets."""
        return aws.s3.BucketObjectv2(
            f"{self._settings.fleet}-service",
            bucket=self.artifacts.bucket.id,
            key=artifact.key,
            content_base64=base64.b64encode(artifact.content).decode(),
            content_type="application/zip",
            opts=self._kept,
        )

    def _upload_file(self, name: str, key: str, path: Path) -> aws.s3.BucketObjectv2:
        return aws.s3.BucketObjectv2(
            f"{self._settings.fleet}-{name}",
            bucket=self.artifacts.bucket.id,
            key=key,
            source=pulumi.FileAsset(str(path)),
            content_type="application/zip",
            opts=self._kept,
        )

    @property
    def _kept(self) -> pulumi.ResourceOptions:
        """Keep replaced objects: new content has a new key, and older launch templates name the one before."""
        return pulumi.ResourceOptions(
            parent=self,
            retain_on_delete=True,
            depends_on=self.artifacts.ready,
        )
