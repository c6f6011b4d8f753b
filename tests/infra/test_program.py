"""The recorded graph of the program: every input and option on which something depends."""

from __future__ import annotations

import base64
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import PROJECT_ROOT
from infra.boot import model_files, wheelhouse
from infra.configuration.stack_file import stack_config
from infra.configuration.stack_settings import ConfigError
from infra.facts.alarm_table import OBJECTIVES, OPERATIONS
from infra.facts.instance_types import BY_NAME
from infra.planning.plan import PlanError
from infra.review import graph as graph_module
from infra.review.graph import graph, synthetic
from infra.review.recording import RecordedResource, Recording, record
from tests.infra.graphs import changed, one, rehearsal, role_of

GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0"
HOSTNAME = "search.example.com"
BUCKET = "aws:s3/bucket:Bucket"
SCHEDULE = "aws:autoscaling/schedule:Schedule"


def test_two_recordings_are_equal() -> None:
    assert graph("rehearsal") == rehearsal()


def test_the_stack_has_the_documented_outputs() -> None:
    outputs = rehearsal().outputs
    assert outputs.keys() == {
        "fleet",
        "region",
        "slots",
        "endpoint",
        "load_balancer",
        "documents_bucket",
        "index_bucket",
        "artifacts_bucket",
        "log_group",
        "parameters",
        "access_keys",
        "listener_arn",
        "target_groups",
        "alerts_topic",
        "generator_group",
        "generator_master",
        "plan",
    }
    assert outputs["endpoint"].startswith("http://")
    assert outputs["endpoint"].endswith(":8080")
    assert outputs["target_groups"].keys() == {"blue", "green"}
    assert outputs["slots"]["blue"]["alarms"].keys() == {alarm.key for alarm in (*OBJECTIVES, *OPERATIONS)}
    assert outputs["plan"]["slots"]["blue"]["ram"]["floor_bytes"] == 60_000 * 256 * 4


def test_cells_are_listed_with_their_groups() -> None:
    outputs = rehearsal().outputs["slots"]["blue"]
    assert [(cell["shard"], cell["replica"], cell["zone"]) for cell in outputs["cells"]] == [
        (0, "a", "us-east-1a"),
        (0, "b", "us-east-1b"),
        (1, "a", "us-east-1b"),
        (1, "b", "us-east-1c"),
    ]
    assert all(cell["group"].startswith("rehearsal-blue-node-") for cell in outputs["cells"])


# --- network and firewall


def test_private_subnets_give_no_public_address() -> None:
    subnets = rehearsal().of_type("aws:ec2/subnet:Subnet")
    assert [row.inputs["availabilityZone"] for row in subnets] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert [row.inputs["cidrBlock"] for row in subnets] == ["127.64.0.0/20", "127.64.16.0/20", "127.64.32.0/20"]
    assert not any(row.inputs["mapPublicIpOnLaunch"] for row in subnets)


def test_there_is_no_way_to_the_internet() -> None:
    types = {row.type for row in rehearsal().resources}
    assert not types & {"aws:ec2/internetGateway:InternetGateway", "aws:ec2/natGateway:NatGateway"}
    assert "aws:ec2/route:Route" not in types


def test_instances_reach_aws_through_endpoints() -> None:
    services = {
        row.inputs["serviceName"].rsplit(".", 1)[1]: row.inputs["vpcEndpointType"]
        for row in rehearsal().of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
    }
    assert services == {"s3": "Gateway"} | dict.fromkeys(
        ("autoscaling", "ec2", "logs", "monitoring", "ssm", "ssmmessages"), "Interface"
    )


def rules(recording: Recording) -> Iterator[tuple[RecordedResource, bool]]:
    for direction in ("Ingress", "Egress"):
        type_ = f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
        yield from ((row, direction == "Ingress") for row in recording.of_type(type_))


def test_every_rule_says_what_it_is_for() -> None:
    for rule, _ in rules(rehearsal()):
        assert len(rule.inputs["description"]) > 10


def test_only_these_ports_are_open_and_none_to_the_world() -> None:
    opened = {
        (row.name, row.inputs["fromPort"], row.inputs.get("cidrIpv4")) for row, ingress in rules(rehearsal()) if ingress
    }
    assert opened == {
        ("rehearsal-balancer-from-127.0.0.0-8", 8080, "127.0.0.0/8"),
        ("rehearsal-balancer-from-generator", 8080, None),
        ("rehearsal-endpoints-from-vpc", 443, "127.64.0.0/16"),
        ("rehearsal-indexer-from-router", 8080, None),
        ("rehearsal-node-from-router", 8080, None),
        ("rehearsal-router-from-balancer", 8080, None),
    }
    assert not any(row.inputs.get("cidrIpv4") == "0.0.0.0/0" for row, _ in rules(rehearsal()))


# --- storage


def test_a_rehearsals_buckets_are_destroyed_with_their_objects() -> None:
    for bucket in rehearsal().of_type(BUCKET):
        assert bucket.inputs["forceDestroy"] is True
        assert (bucket.protect, bucket.retain_on_delete) == (False, False)


def test_protection_stands_on_every_bucket_itself() -> None:
    buckets = changed(dataProtection="true").of_type(BUCKET)
    assert {bucket.inputs["tags"]["vectorfleet:data"] for bucket in buckets} == {
        "documents",
        "index",
        "artifacts",
        "logs",
    }
    for bucket in buckets:
        assert bucket.inputs["forceDestroy"] is False
        assert (bucket.protect, bucket.retain_on_delete) == (True, True)


def test_an_artifact_lies_under_the_fleets_key() -> None:
    stored = one(rehearsal(), "aws:s3/bucketObjectv2:BucketObjectv2")
    kind = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    assert one(rehearsal(), kind, "artifacts").urn in stored.dependencies


def test_a_replaced_artifact_is_retained() -> None:
    type_ = "aws:s3/bucketObjectv2:BucketObjectv2"
    assert one(changed(dataProtection="true"), type_).retain_on_delete
    assert one(rehearsal(), type_).retain_on_delete


def test_the_data_key_is_protected_like_the_buckets() -> None:
    for protected in (True, False):
        found = changed(dataProtection="true") if protected else rehearsal()
        keys = {key.inputs["tags"]["vectorfleet:key"]: key for key in found.of_type("aws:kms/key:Key")}
        assert (keys["data"].protect, keys["data"].retain_on_delete) == (protected, protected)
        assert all(key.inputs["enableKeyRotation"] for key in keys.values())
        assert {key.inputs["deletionWindowInDays"] for key in keys.values()} == {30 if protected else 7}


def test_wheels_are_uploaded_first_and_named_in_manifests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "wheelhouse-1.zip"
    path.write_bytes(b"wheels")
    made = wheelhouse.Wheelhouse(path, "1" * 64, 6, ("a.whl",), "inputs")
    monkeypatch.setattr(wheelhouse, "built", lambda root: made)
    found = changed(wheelhouse="true", fleet="wheels")
    stored = one(found, "aws:s3/bucketObjectv2:BucketObjectv2", "wheelhouse")
    assert (stored.inputs["key"], stored.inputs["source"]) == (made.key, str(path))
    assert all(stored.urn in group.dependencies for group in found.of_type(GROUP))
    config = json.loads(base64.b64decode(one(found, TEMPLATE, "router").inputs["userData"]).decode().split("\n", 1)[1])
    assert json.loads(config["write_files"][0]["content"])["wheelhouse"]["sha256"] == made.sha256


ONNX = json.dumps({"provider": "onnx", "model": "MiniLM", "version": "0123456789ab"})


def test_the_model_is_uploaded_first_for_roles_that_embed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = model_files.ModelFiles(tmp_path / "model-0123456789ab.zip", "0123456789ab")
    made.path.write_bytes(b"a model")
    monkeypatch.setattr(model_files, "packed", lambda root, version: made if version == made.version else None)
    found = changed(embedding=ONNX, fleet="embedding")
    stored = one(found, "aws:s3/bucketObjectv2:BucketObjectv2", "model")
    assert (stored.inputs["key"], stored.inputs["source"]) == (f"model/{made.sha256}.zip", str(made.path))
    assert all(stored.urn in group.dependencies for group in found.of_type(GROUP))
    for role, has in (("router", True), ("indexer", True), ("node", False)):
        template = next(one for one in found.of_type(TEMPLATE) if role_of(one) == role)
        config = json.loads(base64.b64decode(template.inputs["userData"]).decode().split("\n", 1)[1])
        assert ("model" in json.loads(config["write_files"][0]["content"])) is has


def test_pulumi_refuses_to_deploy_without_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "packed", lambda root, version: None)
    monkeypatch.chdir(PROJECT_ROOT / "infra")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def program() -> None:
        with pytest.raises(pulumi.RunError, match="version 0123456789ab, are not packed here; run `vectorfleet"):
            runpy.run_path(".", run_name="__main__")

    config = stack_config("rehearsal") | {"vectorfleet:embedding": ONNX}
    record(program, config, project="vectorfleet", stack="test", model=synthetic)


@pytest.mark.parametrize(
    ("built", "sentence"),
    [
        (None, "run `make artifact`, or set vectorfleet:wheelhouse to false"),
        (wheelhouse.WheelhouseError("dist/x.zip was built from other versions; run make artifact."), "other versions"),
    ],
)
def test_pulumi_refuses_to_deploy_without_wheels(
    monkeypatch: pytest.MonkeyPatch, built: Exception | None, sentence: str
) -> None:
    def answer(root: Path) -> None:
        if built is not None:
            raise built

    monkeypatch.setattr(wheelhouse, "built", answer)
    monkeypatch.chdir(PROJECT_ROOT / "infra")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def program() -> None:
        with pytest.raises(pulumi.RunError, match=sentence):
            runpy.run_path(".", run_name="__main__")

    config = stack_config("rehearsal") | {"vectorfleet:wheelhouse": "true"}
    record(program, config, project="vectorfleet", stack="test", model=synthetic)


def test_no_rule_expires_live_objects() -> None:
    kinds = rehearsal().of_type("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    for kind in kinds:
        (rule,) = kind.inputs["rules"]
        assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 90}
        assert ("expiration" in rule) == ("logs" in kind.name)
    assert len(kinds) == 4


def test_log_writers_wait_for_their_permission() -> None:
    policy = one(rehearsal(), "aws:s3/bucketPolicy:BucketPolicy", "logs").urn
    writers = [
        *rehearsal().of_type("aws:s3/bucketLogging:BucketLogging"),
        *rehearsal().of_type("aws:ec2/flowLog:FlowLog"),
        *rehearsal().of_type("aws:lb/loadBalancer:LoadBalancer"),
    ]
    assert len(writers) == 5
    assert all(policy in writer.dependencies for writer in writers)


@pytest.mark.parametrize("role", ["documents", "index", "artifacts"])
def test_a_bucket_is_versioned_encrypted_private_and_tls_only(role: str) -> None:
    def guard(kind: str) -> dict[str, Any]:
        return one(rehearsal(), f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}", role).inputs

    assert guard("BucketVersioning")["versioningConfiguration"] == {"status": "Enabled"}
    assert guard("BucketOwnershipControls")["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    blocks = {key: value for key, value in guard("BucketPublicAccessBlock").items() if key != "bucket"}
    assert len(blocks) == 4
    assert all(blocks.values())
    (rule,) = guard("BucketServerSideEncryptionConfiguration")["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "aws:kms"
    assert rule["bucketKeyEnabled"] is True
    assert "aws:SecureTransport" in guard("BucketPolicy")["policy"]


# --- instances


def test_every_template_pins_its_image_and_requires_imdsv2() -> None:
    for template in rehearsal().of_type(TEMPLATE):
        assert template.inputs["imageId"] == "ami-0123456789abcdef0"
        assert template.inputs["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "instanceMetadataTags": "enabled",
        }
        assert template.inputs["monitoring"] == {"enabled": True}
        (disk,) = template.inputs["blockDeviceMappings"]
        assert (disk["ebs"]["volumeType"], disk["ebs"]["encrypted"]) == ("gp3", "true")


def test_instance_volume_and_interface_carry_the_discovery_tags() -> None:
    for template in rehearsal().of_type(TEMPLATE):
        specifications = {row["resourceType"]: row["tags"] for row in template.inputs["tagSpecifications"]}
        assert specifications.keys() == {"instance", "volume", "network-interface"}
        for tags in specifications.values():
            assert {"Name", "vectorfleet:fleet", "vectorfleet:role", "vectorfleet:slot"} <= tags.keys()
            assert ("vectorfleet:shard" in tags) == (tags["vectorfleet:role"] == "node")


def test_groups_propagate_the_same_tags() -> None:
    for group in rehearsal().of_type(GROUP):
        assert all(tag["propagateAtLaunch"] for tag in group.inputs["tags"])
        template = one(rehearsal(), TEMPLATE, group.name)
        assert {tag["key"]: tag["value"] for tag in group.inputs["tags"]} == template.inputs["tags"]


def test_a_cell_is_a_group_of_one_in_one_subnet() -> None:
    cells = [group for group in rehearsal().of_type(GROUP) if role_of(group) == "node"]
    assert len(cells) == 4
    for cell in cells:
        sizes = [cell.inputs[key] for key in ("minSize", "maxSize", "desiredCapacity")]
        assert sizes == [1, 1, 1]
        assert len(cell.inputs["vpcZoneIdentifiers"]) == 1


@pytest.mark.parametrize("replicas", ["2", "3"])
def test_replicas_of_a_shard_run_in_different_subnets(replicas: str) -> None:
    cells = [group for group in changed(minimumReplicas=replicas).of_type(GROUP) if role_of(group) == "node"]
    by_shard: dict[str, list[str]] = {}
    for cell in cells:
        shard = next(tag["value"] for tag in cell.inputs["tags"] if tag["key"] == "vectorfleet:shard")
        by_shard.setdefault(shard, []).extend(cell.inputs["vpcZoneIdentifiers"])
    assert len(by_shard) == 2
    assert all(len(set(subnets)) == int(replicas) for subnets in by_shard.values())


def test_a_group_names_a_template_version_by_number() -> None:
    templates = [group.inputs["mixedInstancesPolicy"]["launchTemplate"] for group in rehearsal().of_type(GROUP)]
    assert {template["launchTemplateSpecification"]["version"] for template in templates} == {"1"}


def test_a_type_of_the_same_size_replaces_a_missing_one() -> None:
    recording = changed(instanceTypes=json.dumps(["r7i.xlarge", "r6i.xlarge", "r6i.large", "m7i.2xlarge"]))
    in_templates = {one.inputs["instanceType"] for one in recording.of_type(TEMPLATE)}
    for group in recording.of_type(GROUP):
        policy = group.inputs["mixedInstancesPolicy"]
        assert policy["instancesDistribution"] == {
            "onDemandAllocationStrategy": "prioritized",
            "onDemandPercentageAboveBaseCapacity": 100,
        }
        types = [override["instanceType"] for override in policy["launchTemplate"]["overrides"]]
        assert types == recording.outputs["slots"]["blue"]["instance_types"][role_of(group)]
        machines = [BY_NAME[name] for name in types]
        assert len({(machine.vcpus, machine.memory_gib) for machine in machines}) == 1
        assert types[0] in in_templates
    assert recording.outputs["slots"]["blue"]["instance_types"] == {
        "node": ["r6i.large"],
        "router": ["m7i.large", "m6i.large"],
        "indexer": ["m7i.xlarge", "m6i.xlarge"],
        "generator": ["m7i.large", "m6i.large"],
    }


def test_only_a_roll_out_moves_a_group_to_another_version() -> None:
    for group in rehearsal().of_type(GROUP):
        sizes_alone = () if role_of(group) == "node" else ("desiredCapacity",)
        assert group.ignore_changes == ("mixedInstancesPolicy", "initialLifecycleHooks", *sizes_alone)
        # The provider does not wait for an instance refresh, so all cells would be refreshed at once.
        assert "instanceRefresh" not in group.inputs


@pytest.mark.parametrize(("recovery", "heartbeat"), [("10", 30), ("900", 900), ("86400", 7200)])
def test_a_cells_instance_completes_its_own_launch_hook(recovery: str, heartbeat: int) -> None:
    recording = changed(objectives=json.dumps({"recoveryTimeSeconds": int(recovery)}))
    for group in recording.of_type(GROUP):
        hooks = group.inputs.get("initialLifecycleHooks", [])
        if role_of(group) != "node":
            assert hooks == []
            continue
        assert hooks == [
            {
                "name": "ready",
                "lifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
                "heartbeatTimeout": heartbeat,
                "defaultResult": "ABANDON",
            }
        ]


def test_routers_run_in_every_zone_behind_their_target_group() -> None:
    group = one(rehearsal(), GROUP, "router")
    assert len(group.inputs["vpcZoneIdentifiers"]) == 3
    assert group.inputs["targetGroupArns"] == [rehearsal().outputs["target_groups"]["blue"]]
    assert group.inputs["healthCheckType"] == "ELB"


def test_nodes_and_indexers_have_no_load_balancer() -> None:
    others = [group for group in rehearsal().of_type(GROUP) if role_of(group) != "router"]
    assert {group.inputs["healthCheckType"] for group in others} == {"EC2"}
    assert not any("targetGroupArns" in group.inputs for group in others)


@pytest.mark.parametrize("role", ["node", "router", "indexer"])
def test_the_first_instance_boots_after_its_requirements(role: str) -> None:
    group = next(row for row in rehearsal().of_type(GROUP) if role_of(row) == role)
    needed = {
        row.urn
        for row in rehearsal().resources
        if row.type
        in {
            "aws:ec2/routeTableAssociation:RouteTableAssociation",
            "aws:ec2/vpcEndpoint:VpcEndpoint",
            "aws:s3/bucketObjectv2:BucketObjectv2",
            "aws:ssm/parameter:Parameter",
            # An object written before these would lack versions, the fleet's key, or the append-only rule.
            "aws:s3/bucketVersioning:BucketVersioning",
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "aws:s3/bucketPolicy:BucketPolicy",
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        }
        or (row.type == "aws:iam/rolePolicy:RolePolicy" and role in row.name)
        if "logs" not in row.name and "artifacts" not in row.name
    }
    assert len(needed) > 20
    assert needed <= set(group.dependencies)


def test_cells_wait_for_the_indexer() -> None:
    indexer = one(rehearsal(), GROUP, "indexer").urn
    cells = [group for group in rehearsal().of_type(GROUP) if role_of(group) == "node"]
    assert all(indexer in cell.dependencies for cell in cells)
    assert indexer not in one(rehearsal(), GROUP, "router").dependencies


def test_routers_grow_with_load_up_to_a_limit() -> None:
    group = one(rehearsal(), GROUP, "router")
    assert [group.inputs[key] for key in ("minSize", "desiredCapacity", "maxSize")] == [2, 2, 4]
    assert one(changed(maximumRouters="7"), GROUP, "router").inputs["maxSize"] == 7
    policy = one(rehearsal(), "aws:autoscaling/policy:Policy").inputs
    tracking = policy["targetTrackingConfiguration"]
    assert tracking["targetValue"] == 500 * 0.7 * 60
    label = tracking["predefinedMetricSpecification"]["resourceLabel"]
    assert label.startswith("app/rehearsal-")
    assert "/targetgroup/rehearsal-blue-" in label


def test_a_batch_indexer_starts_and_stops_by_schedule() -> None:
    batch = changed(indexing='{"mode": "batch", "schedule": "10 * * * *", "batchMinutes": 30}')
    group = one(batch, GROUP, "indexer")
    assert [group.inputs[key] for key in ("minSize", "desiredCapacity", "maxSize")] == [0, 1, 1]
    assert "desiredCapacity" in group.ignore_changes
    times = {row.inputs["recurrence"]: row.inputs["desiredCapacity"] for row in batch.of_type(SCHEDULE)}
    assert times == {"10 * * * *": 1, "40 * * * *": 0}
    # If the indexer stopped before the first build, the cells would wait in vain.
    cells = {row.urn for row in batch.of_type(GROUP) if role_of(row) == "node"}
    assert all(cells <= set(row.dependencies) for row in batch.of_type(SCHEDULE))
    # The provider would send the old start time with an update, and AWS refuses one in the past.
    assert {(row.replace_on_changes, row.delete_before_replace) for row in batch.of_type(SCHEDULE)} == {(("*",), True)}
    assert not rehearsal().of_type(SCHEDULE)


def test_capacity_waits_cover_the_recovery_time() -> None:
    groups = changed(objectives='{"recoveryTimeSeconds": 1500}').of_type(GROUP)
    for group in groups:
        is_cell, is_router = role_of(group) == "node", role_of(group) == "router"
        assert group.inputs["waitForCapacityTimeout"] == ("30m" if is_cell else "10m")
        assert group.inputs["ignoreFailedScalingActivities"] is True
        # A router is in service at once, and gets requests when its target group finds it healthy.
        assert group.inputs.get("minElbCapacity") == (2 if is_router else None)
        if is_router:
            assert group.inputs["healthCheckGracePeriod"] == 300


def test_every_role_has_the_permissions_boundary() -> None:
    arn = "arn:aws:iam::123456789012:policy/limits"
    roles = changed(permissionsBoundaryArn=arn, vault='{"region": "us-west-2"}').of_type("aws:iam/role:Role")
    assert len(roles) == 6
    assert {role.inputs["permissionsBoundary"] for role in roles} == {arn}


def test_a_nodes_manifest_has_its_replica() -> None:
    template = one(rehearsal(), TEMPLATE, "node-1-b")
    config = json.loads(base64.b64decode(template.inputs["userData"]).decode().split("\n", 1)[1])
    role = json.loads(config["write_files"][0]["content"])
    assert role["artifact"]["bucket"] == rehearsal().outputs["artifacts_bucket"]
    assert role["environment"]["VECTORFLEET_SHARD"] == "1"
    assert role["environment"]["VECTORFLEET_REPLICA"] == "b"
    (hook,) = one(rehearsal(), GROUP, "node-1-b").inputs["initialLifecycleHooks"]
    assert role["environment"]["VECTORFLEET_LIFECYCLE_HOOK"] == hook["name"]


def test_every_process_kind_has_a_role_of_its_own() -> None:
    by_role = {row.inputs["tags"]["vectorfleet:role"]: row.name for row in rehearsal().of_type("aws:iam/role:Role")}
    assert by_role.keys() == {"node", "router", "indexer", "generator"}
    assert len(rehearsal().of_type("aws:iam/instanceProfile:InstanceProfile")) == 4


# --- configuration of the fleet


@pytest.mark.parametrize("protected", ["true", "false"])
def test_another_recipe_is_refused_where_data_is_protected(protected: str) -> None:
    recipe = one(changed(dataProtection=protected), "aws:ssm/parameter:Parameter", "another-recipe-needs-another-slot")
    # The replacement of a protected resource ends Pulumi's preview.
    assert (recipe.protect, recipe.replace_on_changes) == (protected == "true", ("value",))
    # Without a preview it ends the update, so no other parameter may be written before it.
    parameters = changed(dataProtection=protected).of_type("aws:ssm/parameter:Parameter")
    assert [row.name for row in parameters if recipe.urn not in row.dependencies] == [recipe.name]


@pytest.mark.parametrize(
    "another",
    [
        {"minimumShards": "5"},
        {"index": '{"m": 24}'},
        {"index": '{"efConstruction": 300}'},
        {"index": '{"type": "ivf"}'},
        {"chunking": '{"size": 200}'},
        {"embedding": '{"dims": 128}', "dims": "128"},
    ],
    ids=lambda another: next(iter(another)),
)
def test_the_recipe_has_exactly_what_decides_a_build(another: dict[str, str]) -> None:
    def recipe(recording: Recording) -> str:
        return str(one(recording, "aws:ssm/parameter:Parameter", "another-recipe").inputs["value"])

    assert recipe(changed(**another)) != recipe(rehearsal())
    for harmless in (
        {"peakQueriesPerSecond": "200"},
        {"minimumReplicas": "3"},
        {"alarmPeriodSeconds": "60"},
        {"index": '{"efSearch": 300, "probes": 9, "rescored": 9, "lists": 9, "codeDims": 8}'},
    ):
        assert recipe(changed(**harmless)) == recipe(rehearsal())


def test_a_recipe_of_defaults_is_that_of_earlier_versions() -> None:
    """Otherwise the first update of a protected stack would be refused."""
    value = one(rehearsal(), "aws:ssm/parameter:Parameter", "another-recipe").inputs["value"]
    assert json.loads(value)["index"] == {
        "type": "hnsw",
        "metric": "cosine",
        "m": 16,
        "ef_construction": 200,
        "ef_search": 100,
        "lists": 0,
        "probes": 0,
        "code_dims": 4,
        "rescored": 8,
    }


def _boots(recording: Recording) -> dict[str, object]:
    """Return the user data of every launch template whose process reads the parameters."""
    templates = recording.of_type("aws:ec2/launchTemplate:LaunchTemplate")
    return {row.name: row.inputs["userData"] for row in templates if role_of(row) != "generator"}


def test_a_search_parameter_changes_in_place_with_a_roll_out() -> None:
    was, now = rehearsal(), changed(index='{"efSearch": 300}')
    assert {name for name, data in _boots(now).items() if data != _boots(was)[name]} == _boots(was).keys()
    # Values that processes do not read at their start need no roll-out.
    assert _boots(changed(alarmPeriodSeconds="60")) == _boots(was)
    parameters = {
        row.name
        for row in now.of_type("aws:ssm/parameter:Parameter")
        if row.inputs["value"] != one(was, "aws:ssm/parameter:Parameter", row.name).inputs["value"]
    }
    assert parameters == {"rehearsal-index"}


def test_parameters_have_what_processes_read_at_boot() -> None:
    found = {
        row.inputs["name"]: json.loads(row.inputs["value"])
        for row in rehearsal().of_type("aws:ssm/parameter:Parameter")
        if "recipe" not in row.name
    }
    outputs = rehearsal().outputs
    assert found == {
        "/vectorfleet/rehearsal/storage": {
            role: outputs[f"{role}_bucket"] for role in ("documents", "index", "artifacts")
        },
        "/vectorfleet/rehearsal/embedding": {
            "provider": "wordllama",
            "model": "wordllama",
            "version": "0.4.0.post1",
            "dims": 256,
            "url": "",
            "secret": "",
        },
        "/vectorfleet/rehearsal/chunking": {"size": 300, "overlap": 0},
        "/vectorfleet/rehearsal/index": {
            "type": "hnsw",
            "metric": "cosine",
            "m": 16,
            "ef_construction": 200,
            "ef_search": 100,
            "lists": 0,
            "probes": 0,
            "code_dims": 4,
            "rescored": 8,
        },
        "/vectorfleet/rehearsal/fleet": {
            "shards": 2,
            "replicas": 2,
            "metrics_period_seconds": 10,
            "lag_seconds": 30.0,
            "snapshot_seconds": 21_600,
            "access_keys": "/vectorfleet-keys/rehearsal",
            "indexing": "realtime",
            "until": None,
        },
    }


# --- front


def test_the_program_sets_only_the_first_weights() -> None:
    listener = one(rehearsal(), "aws:lb/listener:Listener")
    (action,) = listener.inputs["defaultActions"]
    groups = rehearsal().outputs["target_groups"]
    assert [(row["arn"], row["weight"]) for row in action["forward"]["targetGroups"]] == [
        (groups["blue"], 100),
        (groups["green"], 0),
    ]
    assert listener.ignore_changes == ("defaultActions",)
    assert (listener.inputs["port"], listener.inputs["protocol"]) == (8080, "HTTP")


def test_a_request_that_names_a_slot_goes_to_it_alone() -> None:
    rules, groups = rehearsal().of_type("aws:lb/listenerRule:ListenerRule"), rehearsal().outputs["target_groups"]
    made = {}
    for rule in rules:
        (condition,), (action,) = rule.inputs["conditions"], rule.inputs["actions"]
        header = condition["httpHeader"]
        made[rule.inputs["priority"]] = (header["httpHeaderName"], header["values"], action["targetGroupArn"])
        assert rule.inputs["listenerArn"] == rehearsal().outputs["listener_arn"]
        assert rule.inputs["tags"]["vectorfleet:slot"] in header["values"]
    assert made == {
        100: ("X-Vectorfleet-Slot", ["blue"], groups["blue"]),
        101: ("X-Vectorfleet-Slot", ["green"], groups["green"]),
    }


def test_a_certificate_makes_the_listener_https() -> None:
    secured = changed(certificateArn=CERTIFICATE, hostname=HOSTNAME)
    listener = one(secured, "aws:lb/listener:Listener")
    assert (listener.inputs["protocol"], listener.inputs["certificateArn"]) == ("HTTPS", CERTIFICATE)
    assert "TLS13" in listener.inputs["sslPolicy"]


def test_the_endpoint_has_the_certificates_name() -> None:
    secured = changed(certificateArn=CERTIFICATE, hostname=HOSTNAME)
    assert secured.outputs["endpoint"] == f"https://{HOSTNAME}:8080"
    assert secured.outputs["load_balancer"] != HOSTNAME
    assert not secured.of_type("aws:route53/record:Record")


def test_a_hosted_zone_gets_the_name() -> None:
    named = changed(hostname=HOSTNAME, hostedZoneId="Z0123456789")
    record = one(named, "aws:route53/record:Record")
    assert (record.inputs["zoneId"], record.inputs["name"], record.inputs["type"]) == ("Z0123456789", HOSTNAME, "A")
    (alias,) = record.inputs["aliases"]
    assert alias["name"] == named.outputs["load_balancer"]


def test_a_public_load_balancer_waits_for_its_route() -> None:
    public = changed(internal="false", certificateArn=CERTIFICATE, hostname=HOSTNAME, loadGenerators="{}")
    balancer = one(public, "aws:lb/loadBalancer:LoadBalancer")
    needed = {
        row.urn
        for type_ in (
            "aws:ec2/internetGateway:InternetGateway",
            "aws:ec2/route:Route",
            "aws:ec2/routeTableAssociation:RouteTableAssociation",
        )
        for row in public.of_type(type_)
        if "private" not in row.name
    }
    assert len(needed) == 5
    assert needed <= set(balancer.dependencies)


def test_the_gateway_reaches_only_buckets_of_the_account() -> None:
    endpoint = one(rehearsal(), "aws:ec2/vpcEndpoint:VpcEndpoint", "s3")
    own, packages = json.loads(endpoint.inputs["policy"])["Statement"]
    account = one(rehearsal(), "aws:ec2/vpc:Vpc")
    assert own["Condition"]["StringEquals"].keys() == {"aws:PrincipalAccount", "aws:ResourceAccount"}
    assert account.urn in endpoint.dependencies
    assert (packages["Action"], packages["Resource"]) == (
        "s3:GetObject",
        "arn:aws:s3:::al2023-repos-us-east-1-de612dc2/*",
    )


def test_the_load_balancer_is_internal_unless_told_otherwise() -> None:
    balancer = one(rehearsal(), "aws:lb/loadBalancer:LoadBalancer")
    assert balancer.inputs["internal"] is True
    assert balancer.inputs["dropInvalidHeaderFields"] is True


def test_a_public_load_balancer_uses_public_subnets_alone() -> None:
    public = changed(internal="false", certificateArn=CERTIFICATE, hostname=HOSTNAME, loadGenerators="{}")
    balancer = one(public, "aws:lb/loadBalancer:LoadBalancer")
    instances = {subnet for group in public.of_type(GROUP) for subnet in group.inputs["vpcZoneIdentifiers"]}
    assert balancer.inputs["internal"] is False
    assert len(balancer.inputs["subnets"]) == 3
    assert not set(balancer.inputs["subnets"]) & instances
    assert len(public.of_type("aws:ec2/route:Route")) == 1


def test_routers_are_probed_shallowly_and_as_often_as_configured() -> None:
    groups = rehearsal().of_type("aws:lb/targetGroup:TargetGroup")
    assert len(groups) == 2
    for group in groups:
        probe = group.inputs["healthCheck"]
        assert (probe["path"], probe["interval"], probe["timeout"]) == ("/healthz", 5, 2)
        assert group.inputs["port"] == 8080


# --- the rehearsal's provider


def test_endpoints_cover_every_service_the_program_uses() -> None:
    """Calls to a service without an endpoint would go to the real AWS."""
    (endpoints,) = json.loads(stack_config("rehearsal")["aws:endpoints"])
    modules = {row.type.split(":")[1].split("/")[0] for row in rehearsal().resources if row.custom}
    services = {{"lb": "elbv2", "vpc": "ec2"}.get(module, module) for module in modules}
    # Log groups have a module of another name, a budget is optional, and the provider itself calls STS for the account
    # that it may use.
    assert endpoints.keys() == services | {"budgets", "logs", "route53", "sts"}
    assert set(endpoints.values()) == {"http://127.0.0.1:4566"}


def test_the_rehearsal_reaches_no_real_account() -> None:
    config = stack_config("rehearsal")
    assert (config["aws:accessKey"], config["aws:secretKey"]) == ("test", "test")
    assert json.loads(config["aws:allowedAccountIds"]) == [graph_module.ACCOUNT]


# --- refusals and entry


@pytest.mark.parametrize(
    ("values", "error", "sentence"),
    [
        ({"dimz": "3"}, ConfigError, "vectorfleet:dimz is unknown"),
        ({"zones": '["eu-west-1a", "us-east-1b"]'}, ConfigError, "zones has eu-west-1a"),
        ({"peakQueriesPerSecond": "1e9"}, PlanError, "No instance type"),
    ],
)
def test_an_impossible_stack_is_refused_before_any_resource(
    values: dict[str, str], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        changed(**values)


def test_a_stack_without_region_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from infra.program import deploy

    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    config = {key: value for key, value in stack_config("rehearsal").items() if key != "aws:region"}
    with pytest.raises(ConfigError, match="aws:region is missing"):
        record(deploy, config, project="vectorfleet", stack="test", model=synthetic)


def test_pulumi_runs_the_folder_as_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi's executor calls runpy on `main:` of Pulumi.yaml, from inside it and without a package."""
    monkeypatch.chdir(PROJECT_ROOT / "infra")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def program() -> None:
        runpy.run_path(".", run_name="__main__")

    recording = record(program, stack_config("rehearsal"), project="vectorfleet", stack="rehearsal", model=synthetic)
    assert recording == rehearsal()


def run_as_pulumi(monkeypatch: pytest.MonkeyPatch, config: dict[str, str]) -> None:
    """Run the folder as the executor of `pulumi up` and `pulumi preview` does."""
    monkeypatch.chdir(PROJECT_ROOT / "infra")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def program() -> None:
        runpy.run_path(".", run_name="__main__")

    record(program, config, project="vectorfleet", stack="test", model=synthetic)


def test_pulumi_refuses_every_placeholder_of_an_example_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run_as_pulumi(monkeypatch, stack_config("large"))
    said = str(refused.value).splitlines()
    keys = ["certificateArn", "hostname", "amiId", "embedding.url", "alerts.emails[0]", "traces.endpoint"]
    assert [line.split(" is ")[0] for line in said] == [f"Configuration key vectorfleet:{key}" for key in keys]
    assert all("your own instead of this placeholder" in line for line in said)


@pytest.mark.parametrize("by", ["endpoints", "environment"])
def test_an_emulated_aws_accepts_placeholders(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    config = stack_config("small") | {"vectorfleet:wheelhouse": "false"}
    here = "http://127.0.0.1:4566"
    if by == "endpoints":
        config["aws:endpoints"] = json.dumps([{"ec2": here}, {"s3": here}])
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", here)
    run_as_pulumi(monkeypatch, config)


def test_one_endpoint_elsewhere_means_real_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = json.dumps([{"ec2": "http://127.0.0.1:4566"}, {"s3": "https://s3.eu-west-1.amazonaws.com"}])
    with pytest.raises(pulumi.RunError, match="placeholder"):
        run_as_pulumi(monkeypatch, stack_config("small") | {"aws:endpoints": elsewhere})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"dims": "1"}, "vectorfleet:dims"),
        ({"peakQueriesPerSecond": "1e9"}, "No instance type carries"),
    ],
)
def test_pulumi_shows_a_refusal_as_a_sentence_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], sentence: str
) -> None:
    """The executor prints a RunError's message alone, and the whole stack of any other exception."""
    monkeypatch.chdir(PROJECT_ROOT / "infra")
    monkeypatch.setattr(sys, "path", list(sys.path))
    config = stack_config("rehearsal") | {f"vectorfleet:{key}": value for key, value in values.items()}

    def program() -> None:
        runpy.run_path(".", run_name="__main__")

    with pytest.raises(pulumi.RunError, match=sentence) as refused:
        record(program, config, project="vectorfleet", stack="rehearsal", model=synthetic)
    assert refused.value.__cause__ is None


def test_generators_reach_only_the_front_and_their_master() -> None:
    reached = {
        (row.name.removeprefix("rehearsal-generator-to-"), row.inputs["fromPort"])
        for row, ingress in rules(rehearsal())
        if not ingress and row.name.startswith("rehearsal-generator-to-")
    }
    assert reached == {("balancer", 8080), ("127.0.0.0-8", 5557), ("s3", 443), ("endpoints", 443)}
    group = one(rehearsal(), GROUP, "generator")
    assert (group.inputs["minSize"], group.inputs["desiredCapacity"], group.inputs["maxSize"]) == (0, 0, 1)


def test_a_stack_without_generators_has_no_resource_for_them() -> None:
    recording = changed(loadGenerators="{}")
    assert not [row.name for row in recording.resources if "generator" in row.name]
    assert "generator_group" not in recording.outputs


def test_a_generator_works_for_a_master_and_installs_locust() -> None:
    template = one(rehearsal(), TEMPLATE, "generator")
    config = json.loads(base64.b64decode(template.inputs["userData"]).decode().split("\n", 1)[1])
    assert json.loads(config["write_files"][0]["content"])["argv"] == ["python", "-m", "vectorfleet", "worker"]


ELSEWHERE = {"model": "m", "version": "1", "dims": 256}


def test_a_model_at_bedrock_is_called_inside_the_network() -> None:
    recording = changed(embedding=json.dumps({**ELSEWHERE, "provider": "bedrock"}))
    services = {row.inputs["serviceName"] for row in recording.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")}
    assert "com.amazonaws.us-east-1.bedrock-runtime" in services


def test_only_roles_that_embed_reach_a_models_server() -> None:
    given = {**ELSEWHERE, "provider": "openai", "url": "http://models.example.com:9000/v1", "cidrs": ["10.9.0.0/16"]}
    recording = changed(embedding=json.dumps(given))
    opened = {
        (row.name, row.inputs["fromPort"], row.inputs["cidrIpv4"])
        for row, ingress in rules(recording)
        if not ingress and "to-embedding" in row.name
    }
    assert opened == {
        (f"rehearsal-{role}-to-embedding-10.9.0.0-16", 9000, "10.9.0.0/16") for role in ("router", "indexer")
    }
    (parameter,) = [
        json.loads(row.inputs["value"])
        for row in recording.of_type("aws:ssm/parameter:Parameter")
        if row.inputs["name"].endswith("/embedding")
    ]
    assert (parameter["url"], parameter["secret"]) == (given["url"], "/vectorfleet-secrets/rehearsal/embedding")
    assert "cidrs" not in parameter


def test_every_process_reaches_the_trace_collector() -> None:
    given = {"endpoint": "http://traces.example.com:4318", "sampleShare": 0.5, "cidrs": ["10.9.0.0/16"]}
    recording = changed(traces=json.dumps(given))
    opened = {
        (row.name, row.inputs["fromPort"], row.inputs["cidrIpv4"])
        for row, ingress in rules(recording)
        if not ingress and "to-traces" in row.name
    }
    roles = ("router", "node", "indexer")
    assert opened == {(f"rehearsal-{role}-to-traces-10.9.0.0-16", 4318, "10.9.0.0/16") for role in roles}
    told = {
        row.name: json.loads(json.loads(_cloud_config(row))["write_files"][0]["content"])["environment"]
        for row in recording.of_type(TEMPLATE)
    }
    assert {name for name, one in told.items() if one.get("OTEL_TRACES_SAMPLER_ARG") == "0.5"} == {
        name for name in told if "generator" not in name
    }


def _cloud_config(template: RecordedResource) -> str:
    return base64.b64decode(template.inputs["userData"]).decode().split("\n", 1)[1]


def test_a_collector_at_the_models_address_needs_no_rule() -> None:
    recording = changed(
        embedding=json.dumps({**ELSEWHERE, "provider": "openai", "url": "http://inside.example.com:9000/v1"}),
        traces=json.dumps({"endpoint": "http://inside.example.com:9000"}),
    )
    assert [row.name for row, ingress in rules(recording) if not ingress and "to-traces" in row.name] == [
        "rehearsal-node-to-traces-127.64.0.0-16"
    ]


def test_an_https_server_in_the_network_needs_no_rule() -> None:
    """EC2 refuses the same rule twice, whatever its description says."""
    recording = changed(
        embedding=json.dumps({**ELSEWHERE, "provider": "openai", "url": "https://models.example.com/v1"})
    )
    seen = [
        (row.inputs["securityGroupId"], row.inputs["fromPort"], row.inputs.get("cidrIpv4"))
        for row, ingress in rules(recording)
        if not ingress and row.inputs.get("cidrIpv4")
    ]
    assert len(seen) == len(set(seen))


def test_the_balancers_logs_match_the_buckets_policy() -> None:
    logs = one(rehearsal(), "aws:lb/loadBalancer:LoadBalancer").inputs["accessLogs"]
    (row,) = (
        statement
        for policy in rehearsal().of_type("aws:s3/bucketPolicy:BucketPolicy")
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        if statement["Sid"] == "BalancerLogs"
    )
    assert row["Resource"] == f"arn:aws:s3:::{logs['bucket']}/{logs['prefix']}/AWSLogs/123456789012/*"
