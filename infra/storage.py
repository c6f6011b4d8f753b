"""Where the truth lies: the three buckets, and the artifact that every process runs."""

from __future__ import annotations

import base64

import pulumi
import pulumi_aws as aws

from infra.artifact import Artifact
from infra.bucket import DataBucket
from infra.config import Settings


class Storage(pulumi.ComponentResource):
    """Buckets `documents` (raw text for ever), `index` (logs and snapshots), `artifacts` (code)."""

    def __init__(self, settings: Settings, artifact: Artifact, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("vectorfleet:infra:Storage", settings.fleet, None, opts)
        self._settings = settings
        self.documents = self._bucket("documents")
        self.index = self._bucket("index")
        self.artifacts = self._bucket("artifacts")
        self.artifact = artifact
        self.artifact_object = self._upload(artifact)
        self.register_outputs({"documents": self.documents.bucket.id, "index": self.index.bucket.id})

    @property
    def names(self) -> dict[str, pulumi.Output[str]]:
        """Bucket names by role."""
        return {
            "documents": self.documents.bucket.id,
            "index": self.index.bucket.id,
            "artifacts": self.artifacts.bucket.id,
        }

    def _bucket(self, role: str) -> DataBucket:
        return DataBucket(
            self._settings.fleet,
            role,
            protected=self._settings.data_protection,
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
            # A new artifact has a new key and so replaces this object; older launch templates still name it.
            opts=pulumi.ResourceOptions(
                parent=self,
                retain_on_delete=self._settings.data_protection,
                depends_on=[self.artifacts.versioning],
            ),
        )
