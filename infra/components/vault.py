"""The vault: locked copies of documents and index in another region."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.components import policies
from infra.components.alarms import Rule, VaultAlarms
from infra.components.bucket import BucketArgs, FleetBucket, Lock
from infra.components.keys import Keys
from infra.components.logs import AccessLogs
from infra.components.storage import Storage
from infra.configuration.settings import Settings
from infra.configuration.settings_sections import VaultSettings
from infra.facts import naming

REPLICATION_MINUTES = 15  # the only value of S3's replication time control


class Vault(pulumi.ComponentResource):
    """
    Bucket, keys and logs of the vault's region, and the rules that fill it.

    `copies` must exist before anything is written: only a job with `copy_role` copies what is older than a rule. The
    buckets of `storage` share no prefix, so no two copies collide. `provider` is the vault region's.
    """

    def __init__(
        self,
        settings: Settings,
        vault: VaultSettings,
        storage: Storage,
        source_keys: Keys,
        account: pulumi.Input[str],
        provider: aws.Provider,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:Vault", settings.fleet, None, opts)
        self._settings = settings
        self.rules: list[Rule] = []
        self.copies: list[pulumi.Resource] = []
        there = pulumi.ResourceOptions(parent=self, providers=[provider])
        self.keys = Keys(settings, account, vault.region, lock=vault.mode, opts=there)
        logs = AccessLogs(settings, account, vault.region, there)
        self.bucket = FleetBucket(
            BucketArgs(
                fleet=settings.fleet,
                role="vault",
                name=naming.logical("bucket", settings.fleet, "vault"),
                protected=settings.data_protection,
                account=account,
                key_arn=self.keys.data.arn,
                logs=logs.target,
                lock=Lock(vault.mode.upper(), vault.retention_days),
                statements=policies.locks_hold if settings.data_protection else policies.nothing_more,
            ),
            there,
        )
        self._add_roles(storage, source_keys)
        self._copy("documents", storage.documents, ("log/",))
        # The embedding memory is left out: it is a cache, and a restored fleet makes it again.
        self._copy("index", storage.index, ("builds/", "slots/"))
        self.alarms = VaultAlarms(settings, self.keys, vault.region, self.rules, there)
        self.register_outputs({"bucket": self.bucket.bucket.id})

    def _add_roles(self, storage: Storage, source_keys: Keys) -> None:
        sources = pulumi.Output.all(storage.documents.bucket.arn, storage.index.bucket.arn)
        others = pulumi.Output.all(self.bucket.bucket.arn, source_keys.data.arn, self.keys.data.arn)
        may = pulumi.Output.all(sources, others).apply(lambda made: policies.replication(made[0], *made[1]))
        self.role, self._policy = self._role("replication", policies.assume_by("s3", "S3Only"), may)
        may = sources.apply(policies.batch_replication)
        # AWS documents no condition for this trust; a key that a request lacks would end every job.
        self.copy_role, _ = self._role("copies", policies.assume_by("batchoperations.s3", "BatchOperationsOnly"), may)

    def _role(
        self, name: str, trust: policies.Policy, may: pulumi.Output[policies.Policy]
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        name = naming.logical("role", self._settings.fleet, name)
        role = aws.iam.Role(
            name,
            assume_role_policy=policies.text(trust),
            permissions_boundary=self._settings.permissions_boundary_arn,
            tags={"vectorfleet:fleet": self._settings.fleet},
            opts=self._kept(),
        )
        policy = aws.iam.RolePolicy(name, role=role.name, policy=may.apply(policies.text), opts=self._kept())
        return role, policy

    def _kept(self, *ready: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the protection of the copied data: a bucket that stays goes on being copied."""
        protected = self._settings.data_protection
        return pulumi.ResourceOptions(
            parent=self, protect=protected, retain_on_delete=protected, depends_on=list(ready)
        )

    def _copy(self, role: str, source: FleetBucket, prefixes: tuple[str, ...]) -> None:
        rules = [self._rule(f"{role}-{prefix.rstrip('/')}", prefix, number) for number, prefix in enumerate(prefixes)]
        config = aws.s3.BucketReplicationConfig(
            f"{self._settings.fleet}-{role}",
            bucket=source.bucket.id,
            role=self.role.arn,
            rules=rules,
            opts=self._kept(source.versioning, self.bucket.versioning, self._policy),
        )
        self.copies.append(config)
        self.rules += [Rule(str(rule["id"]), source.bucket.id, self.bucket.bucket.id) for rule in rules]

    def _rule(self, name: str, prefix: str, priority: int) -> aws.s3.BucketReplicationConfigRuleArgsDict:
        return {
            "id": name,
            "priority": priority,
            "status": "Enabled",
            "filter": {"prefix": prefix},
            # A deletion at the source, by mistake or by malice, is not copied.
            "delete_marker_replication": {"status": "Disabled"},
            "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
            "destination": {
                "bucket": self.bucket.bucket.arn,
                "storage_class": "STANDARD",
                "encryption_configuration": {"replica_kms_key_id": self.keys.data.arn},
                "metrics": {"status": "Enabled", "event_threshold": {"minutes": REPLICATION_MINUTES}},
                "replication_time": {"status": "Enabled", "time": {"minutes": REPLICATION_MINUTES}},
            },
        }
