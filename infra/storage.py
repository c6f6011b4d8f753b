"""Where the truth lies: the three buckets, and the artifact that every process runs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra import naming, policies
from infra.artifact import Artifact
from infra.bucket import BucketArgs, FleetBucket, Statements
from infra.keys import Keys
from infra.logs import AccessLogs
from infra.model_files import ModelFiles
from infra.settings import Settings
from infra.wheelhouse import Wheelhouse


@dataclass(frozen=True)
class Ground:
    """What every bucket of the fleet's own region rests on."""

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
        model: ModelFiles | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:Storage", settings.fleet, None, opts)
        self._settings, self._ground = settings, ground
        self.documents = self._bucket("documents", policies.documents_log_is_append_only)
        self.index = self._bucket("index", policies.shard_logs_are_append_only)
        self.artifacts = self._bucket("artifacts", policies.nothing_more)
        self.artifact, self.wheelhouse, self.model = artifact, wheelhouse, model
        self.programs: list[pulumi.Resource] = [self._upload(artifact)]
        if wheelhouse is not None:
            self.programs.append(self._upload_file("wheelhouse", wheelhouse.key, wheelhouse.path))
        if model is not None:
            self.programs.append(self._upload_file("model", model.key, model.path))
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
        """What has to be there before a process writes: the data buckets as they shall be, and what processes run."""
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
        """Content, not a file asset: not every bridge to the provider knows assets, and the zip is small."""
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
        """New content has a new key and so replaces its object; older launch templates still name the one before."""
        return pulumi.ResourceOptions(
            parent=self,
            retain_on_delete=True,
            depends_on=self.artifacts.ready,
        )
