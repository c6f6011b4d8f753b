"""The vault: another region, under lock, filled from both data buckets."""

from __future__ import annotations

import json

import pytest

from infra.configuration.stack_settings import ConfigError
from infra.review.recording import RecordedResource, Recording
from tests.infra.graphs import changed, one, rehearsal

VAULT = '{"region": "us-west-2", "retentionDays": 20}'
REPLICATION = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"


def vaulted() -> Recording:
    return changed(vault=VAULT)


def test_without_a_region_there_is_no_vault() -> None:
    types = {row.type for row in rehearsal().resources}
    assert REPLICATION not in types
    assert "pulumi:providers:aws" not in types
    assert not {"vault_bucket", "vault_copy_role"} & rehearsal().outputs.keys()


def test_the_other_regions_provider_has_the_stacks_configuration() -> None:
    provider = one(vaulted(), "pulumi:providers:aws")
    assert provider.inputs["region"] == "us-west-2"
    # A provider of its own inherits nothing: without these it would speak to AWS itself.
    assert "127.0.0.1:4566" in str(provider.inputs["endpoints"])
    assert provider.inputs["accessKey"] == "test"
    assert {"skipCredentialsValidation", "skipMetadataApiCheck", "s3UsePathStyle", "allowedAccountIds"} <= (
        provider.inputs.keys()
    )


def test_the_vault_is_locked_with_its_own_key_and_logs() -> None:
    bucket = one(vaulted(), "aws:s3/bucket:Bucket", "vault")
    assert bucket.inputs["objectLockEnabled"] is True
    lock = one(vaulted(), "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration").inputs
    assert lock["rule"] == {"defaultRetention": {"mode": "GOVERNANCE", "days": 20}}
    there = [row for row in vaulted().resources if "us-west-2" in row.provider]
    assert {"aws:kms/key:Key", "aws:s3/bucket:Bucket", "aws:s3/bucketPolicy:BucketPolicy"} <= {
        row.type for row in there
    }
    assert bucket in there
    assert one(vaulted(), "aws:s3/bucket:Bucket", "logs-us-west-2") in there
    assert one(vaulted(), "aws:s3/bucket:Bucket", "documents") not in there


def test_documents_and_index_are_copied_by_distinct_prefixes() -> None:
    prefixes = []
    for role in ("documents", "index"):
        rules = one(vaulted(), REPLICATION, role).inputs["rules"]
        for rule in rules:
            prefixes.append(rule["filter"]["prefix"])
            assert rule["deleteMarkerReplication"] == {"status": "Disabled"}
            assert rule["sourceSelectionCriteria"]["sseKmsEncryptedObjects"] == {"status": "Enabled"}
            assert rule["destination"]["encryptionConfiguration"]["replicaKmsKeyId"].startswith("arn:aws:kms:")
            assert rule["destination"]["metrics"]["status"] == "Enabled"
    assert sorted(prefixes) == ["builds/", "log/", "slots/"]


def test_replication_waits_for_versioning_on_both_sides() -> None:
    versioning = {row.urn for row in vaulted().of_type("aws:s3/bucketVersioning:BucketVersioning")}
    for config in vaulted().of_type(REPLICATION):
        assert len(versioning & set(config.dependencies)) == 2


def test_copies_are_made_from_the_first_entry_on() -> None:
    rules = {row.urn for row in vaulted().of_type(REPLICATION)}
    for group in vaulted().of_type("aws:autoscaling/group:Group"):
        assert rules <= set(group.dependencies)


def test_where_data_is_protected_nobody_bypasses_the_lock() -> None:
    def policy(recording: Recording) -> str:
        return str(one(recording, "aws:s3/bucketPolicy:BucketPolicy", "vault").inputs["policy"])

    assert "s3:BypassGovernanceRetention" in policy(changed(vault=VAULT, dataProtection="true"))
    # A rehearsal has to be able to end.
    assert "s3:BypassGovernanceRetention" not in policy(vaulted())


@pytest.mark.parametrize("protected", ["true", "false"])
def test_what_is_locked_for_everybody_stays_with_its_key(protected: str) -> None:
    complying = '{"region": "us-west-2", "retentionDays": 20, "mode": "compliance"}'
    recording = changed(vault=complying, dataProtection=protected)
    kept = (one(recording, "aws:s3/bucket:Bucket", "vault"), one(recording, "aws:kms/key:Key", "us-west-2-data"))
    assert [row.retain_on_delete for row in kept] == [True, True]
    assert [row.protect for row in kept] == [protected == "true"] * 2
    assert "kms:ScheduleKeyDeletion" in str(kept[1].inputs["policy"])


def test_the_key_of_locked_copies_is_kept() -> None:
    def key(recording: Recording) -> RecordedResource:
        return one(recording, "aws:kms/key:Key", "us-west-2-data")

    held = key(changed(vault=VAULT, dataProtection="true"))
    assert {"kms:ScheduleKeyDeletion", "kms:DisableKey"} <= {
        action
        for statement in json.loads(str(held.inputs["policy"]))["Statement"]
        if statement["Effect"] == "Deny"
        for action in statement["Action"]
    }
    assert "Deny" not in str(key(vaulted()).inputs["policy"])
    assert not key(vaulted()).retain_on_delete


def test_copying_stays_as_long_as_what_is_copied() -> None:
    recording = changed(vault=VAULT, dataProtection="true")
    kinds = ("aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy")
    roles = [one(recording, kind, name) for kind in kinds for name in ("replication", "copies")]
    assert all(part.protect and part.retain_on_delete for part in (*recording.of_type(REPLICATION), *roles))


def test_only_batch_operations_assume_the_copy_role() -> None:
    role = one(vaulted(), "aws:iam/role:Role", "copies")
    assert "batchoperations.s3.amazonaws.com" in str(role.inputs["assumeRolePolicy"])
    assert str(vaulted().outputs["vault_copy_role"]).startswith("arn:aws:iam:")
    policy = json.loads(str(one(vaulted(), "aws:iam/rolePolicy:RolePolicy", "copies").inputs["policy"]))
    (bucket,) = (row for row in policy["Statement"] if "s3:PutInventoryConfiguration" in row["Action"])
    outputs = vaulted().outputs
    wanted = [outputs["documents_bucket"], outputs["index_bucket"]]
    assert [arn.rpartition(":")[2] for arn in bucket["Resource"]] == wanted


def test_replication_is_watched_rule_by_rule() -> None:
    alarms = [row for row in vaulted().of_type("aws:cloudwatch/metricAlarm:MetricAlarm") if "replication" in row.name]
    rules = {row.inputs["dimensions"]["RuleId"] for row in alarms}
    assert rules == {"documents-log", "index-builds", "index-slots"}
    assert len(alarms) == 6


def test_a_vault_in_the_stacks_own_region_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vault.region is us-east-1, the stack's own; allowed: another region"):
        changed(vault='{"region": "us-east-1"}')
