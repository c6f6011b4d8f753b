"""The recorded graph of the program: every input and option that something depends on."""

from __future__ import annotations

import base64
import json
import runpy
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pulumi
import pytest

from infra import graph as graph_module
from infra import slo
from infra.artifact import PROJECT_ROOT
from infra.config import ConfigError
from infra.graph import graph, synthetic
from infra.plan import PlanError
from infra.recording import Recording, Registered, record
from infra.stack import stack_config

GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0"
BUCKET = "aws:s3/bucket:Bucket"


@cache
def rehearsal() -> Recording:
    return graph("rehearsal")


@cache
def changed(**values: str) -> Recording:
    """The rehearsal's program with other configuration values."""
    from infra.program import deploy

    config = stack_config("rehearsal") | {f"vectorfleet:{key}": value for key, value in values.items()}
    return record(deploy, config, project="vectorfleet", stack="test", model=synthetic)


def one(recording: Recording, type_: str, name: str = "") -> Registered:
    (found,) = (row for row in recording.of_type(type_) if name in row.name)
    return found


def role_of(resource: Registered) -> str:
    tags = resource.inputs["tags"]
    plain = tags if isinstance(tags, dict) else {tag["key"]: tag["value"] for tag in tags}
    return str(plain["vectorfleet:role"])


def test_two_recordings_are_equal() -> None:
    assert graph("rehearsal") == rehearsal()


def test_outputs_are_the_contracts() -> None:
    outputs = rehearsal().outputs
    assert outputs.keys() == {
        "fleet",
        "region",
        "slot",
        "endpoint",
        "shards",
        "replicas",
        "documents_bucket",
        "index_bucket",
        "artifacts_bucket",
        "parameters",
        "listener_arn",
        "target_groups",
        "alerts_topic",
        "alarms",
        "cells",
        "router_group",
        "indexer_group",
        "plan",
    }
    assert outputs["endpoint"].startswith("http://")
    assert outputs["endpoint"].endswith(":8080")
    assert outputs["target_groups"].keys() == {"blue", "green"}
    assert outputs["alarms"].keys() == {"retrieval_p95", "error_rate", "stale_replicas"}
    assert outputs["plan"]["ram"]["floor_bytes"] == 60_000 * 256 * 4


def test_cells_are_listed_with_their_groups() -> None:
    outputs = rehearsal().outputs
    assert [(cell["shard"], cell["replica"], cell["zone"]) for cell in outputs["cells"]] == [
        (0, "a", "us-east-1a"),
        (0, "b", "us-east-1b"),
        (1, "a", "us-east-1b"),
        (1, "b", "us-east-1c"),
    ]
    assert all(cell["group"].startswith("rehearsal-blue-node-") for cell in outputs["cells"])


# --- network and firewall


def test_private_subnets_lie_in_three_zones_and_give_no_public_address() -> None:
    subnets = rehearsal().of_type("aws:ec2/subnet:Subnet")
    assert [row.inputs["availabilityZone"] for row in subnets] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert [row.inputs["cidrBlock"] for row in subnets] == ["127.64.0.0/20", "127.64.16.0/20", "127.64.32.0/20"]
    assert not any(row.inputs["mapPublicIpOnLaunch"] for row in subnets)


def test_there_is_no_way_to_the_internet() -> None:
    types = {row.type for row in rehearsal().resources}
    assert not types & {"aws:ec2/internetGateway:InternetGateway", "aws:ec2/natGateway:NatGateway"}
    assert "aws:ec2/route:Route" not in types


def test_instances_reach_s3_and_the_apis_they_call_through_endpoints() -> None:
    services = {
        row.inputs["serviceName"].rsplit(".", 1)[1]: row.inputs["vpcEndpointType"]
        for row in rehearsal().of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
    }
    assert services == {"s3": "Gateway", "ec2": "Interface", "monitoring": "Interface", "ssm": "Interface"}


def rules(recording: Recording) -> Iterator[tuple[Registered, bool]]:
    for direction in ("Ingress", "Egress"):
        type_ = f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
        yield from ((row, direction == "Ingress") for row in recording.of_type(type_))


def test_every_rule_says_what_it_is_for() -> None:
    for rule, _ in rules(rehearsal()):
        by_reference = {"referencedSecurityGroupId", "prefixListId"} & rule.inputs.keys()
        said = rule.inputs["tags"]["Name"] if by_reference else rule.inputs["description"]
        assert len(said) > 10
        # A description of a rule that names a group would differ for ever on the emulated API.
        assert not (by_reference and "description" in rule.inputs)


def test_only_four_ports_are_open_and_to_nobody_in_the_world() -> None:
    opened = {
        (row.name, row.inputs["fromPort"], row.inputs.get("cidrIpv4")) for row, ingress in rules(rehearsal()) if ingress
    }
    assert opened == {
        ("rehearsal-balancer-from-127.0.0.0-8", 8080, "127.0.0.0/8"),
        ("rehearsal-endpoints-from-vpc", 443, "127.64.0.0/16"),
        ("rehearsal-node-from-router", 8080, None),
        ("rehearsal-router-from-balancer", 8080, None),
    }
    assert not any(row.inputs.get("cidrIpv4") == "0.0.0.0/0" for row, _ in rules(rehearsal()))


# --- storage


def test_a_rehearsals_buckets_can_be_destroyed_with_what_is_in_them() -> None:
    for bucket in rehearsal().of_type(BUCKET):
        assert bucket.inputs["forceDestroy"] is True
        assert (bucket.protect, bucket.retain_on_delete) == (False, False)


def test_protection_stands_on_every_bucket_itself() -> None:
    buckets = changed(dataProtection="true").of_type(BUCKET)
    assert len(buckets) == 3
    for bucket in buckets:
        assert bucket.inputs["forceDestroy"] is False
        assert (bucket.protect, bucket.retain_on_delete) == (True, True)


def test_an_artifact_outlives_its_successor_where_data_is_protected() -> None:
    type_ = "aws:s3/bucketObjectv2:BucketObjectv2"
    assert one(changed(dataProtection="true"), type_).retain_on_delete
    assert not one(rehearsal(), type_).retain_on_delete


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
    assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "AES256"
    assert "aws:SecureTransport" in guard("BucketPolicy")["policy"]


# --- instances


def test_every_template_pins_its_image_and_requires_imdsv2() -> None:
    for template in rehearsal().of_type(TEMPLATE):
        assert template.inputs["imageId"] == "ami-0123456789abcdef0"
        assert template.inputs["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
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
def test_replicas_of_a_shard_stand_in_different_subnets(replicas: str) -> None:
    cells = [group for group in changed(minimumReplicas=replicas).of_type(GROUP) if role_of(group) == "node"]
    by_shard: dict[str, list[str]] = {}
    for cell in cells:
        shard = next(tag["value"] for tag in cell.inputs["tags"] if tag["key"] == "vectorfleet:shard")
        by_shard.setdefault(shard, []).extend(cell.inputs["vpcZoneIdentifiers"])
    assert len(by_shard) == 2
    assert all(len(set(subnets)) == int(replicas) for subnets in by_shard.values())


def test_a_group_names_a_version_by_its_number() -> None:
    assert {group.inputs["launchTemplate"]["version"] for group in rehearsal().of_type(GROUP)} == {"1"}


def test_routers_stand_in_every_zone_behind_their_slots_target_group() -> None:
    group = one(rehearsal(), GROUP, "router")
    assert len(group.inputs["vpcZoneIdentifiers"]) == 3
    assert group.inputs["targetGroupArns"] == [rehearsal().outputs["target_groups"]["blue"]]
    assert group.inputs["healthCheckType"] == "ELB"


def test_nodes_and_indexers_have_no_load_balancer_to_be_judged_by() -> None:
    others = [group for group in rehearsal().of_type(GROUP) if role_of(group) != "router"]
    assert {group.inputs["healthCheckType"] for group in others} == {"EC2"}
    assert not any("targetGroupArns" in group.inputs for group in others)


@pytest.mark.parametrize("role", ["node", "router", "indexer"])
def test_the_first_instance_boots_after_all_it_needs(role: str) -> None:
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
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        }
        or (row.type == "aws:iam/rolePolicy:RolePolicy" and role in row.name)
    }
    assert len(needed) > 20
    assert needed <= set(group.dependencies)


def test_a_node_is_told_which_replica_it_is() -> None:
    template = one(rehearsal(), TEMPLATE, "node-1-b")
    config = json.loads(base64.b64decode(template.inputs["userData"]).decode().split("\n", 1)[1])
    role = json.loads(config["write_files"][0]["content"])
    assert role["artifact"]["bucket"] == rehearsal().outputs["artifacts_bucket"]
    assert role["environment"]["VECTORFLEET_SHARD"] == "1"
    assert role["environment"]["VECTORFLEET_REPLICA"] == "b"


def test_every_process_kind_has_a_role_of_its_own() -> None:
    by_role = {row.inputs["tags"]["vectorfleet:role"]: row.name for row in rehearsal().of_type("aws:iam/role:Role")}
    assert by_role.keys() == {"node", "router", "indexer"}
    assert len(rehearsal().of_type("aws:iam/instanceProfile:InstanceProfile")) == 3


# --- configuration of the fleet


def test_parameters_carry_what_processes_read_at_boot() -> None:
    found = {
        row.inputs["name"]: json.loads(row.inputs["value"])
        for row in rehearsal().of_type("aws:ssm/parameter:Parameter")
    }
    outputs = rehearsal().outputs
    assert found == {
        "/vectorfleet/rehearsal/storage": {
            role: outputs[f"{role}_bucket"] for role in ("documents", "index", "artifacts")
        },
        "/vectorfleet/rehearsal/embedding": {"model": "wordllama", "version": "0.4.0.post1", "dims": 256},
        "/vectorfleet/rehearsal/chunking": {"size": 300, "overlap": 0},
        "/vectorfleet/rehearsal/index": {
            "type": "hnsw",
            "metric": "cosine",
            "m": 16,
            "ef_construction": 200,
            "ef_search": 100,
        },
        "/vectorfleet/rehearsal/fleet": {"shards": 2, "replicas": 2, "metrics_period_seconds": 10},
    }


# --- front


def test_the_listener_weighs_both_slots_once_and_then_leaves_them_to_the_runbook() -> None:
    listener = one(rehearsal(), "aws:lb/listener:Listener")
    (action,) = listener.inputs["defaultActions"]
    groups = rehearsal().outputs["target_groups"]
    assert [(row["arn"], row["weight"]) for row in action["forward"]["targetGroups"]] == [
        (groups["blue"], 100),
        (groups["green"], 0),
    ]
    assert listener.ignore_changes == ("defaultActions",)
    assert (listener.inputs["port"], listener.inputs["protocol"]) == (8080, "HTTP")


def test_a_certificate_makes_the_listener_https() -> None:
    listener = one(changed(certificateArn=CERTIFICATE), "aws:lb/listener:Listener")
    assert (listener.inputs["protocol"], listener.inputs["certificateArn"]) == ("HTTPS", CERTIFICATE)
    assert "TLS13" in listener.inputs["sslPolicy"]
    assert changed(certificateArn=CERTIFICATE).outputs["endpoint"].startswith("https://")


def test_the_load_balancer_is_internal_unless_told_otherwise() -> None:
    balancer = one(rehearsal(), "aws:lb/loadBalancer:LoadBalancer")
    assert balancer.inputs["internal"] is True
    assert balancer.inputs["dropInvalidHeaderFields"] is True


def test_an_internet_facing_load_balancer_stands_in_public_subnets_alone() -> None:
    public = changed(internal="false", certificateArn=CERTIFICATE)
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


# --- alarms


def test_alarms_speak_both_ways_and_name_a_runbook() -> None:
    topic = rehearsal().outputs["alerts_topic"]
    for alarm in rehearsal().of_type("aws:cloudwatch/metricAlarm:MetricAlarm"):
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [topic]
        assert "Runbook: runbooks/RB-" in alarm.inputs["alarmDescription"]
        assert alarm.inputs["treatMissingData"] == "notBreaching"
        assert alarm.inputs["name"] in rehearsal().outputs["alarms"].values()


def test_every_alarms_runbook_exists_and_names_the_alarm() -> None:
    for alarm in rehearsal().of_type("aws:cloudwatch/metricAlarm:MetricAlarm"):
        page = PROJECT_ROOT / alarm.inputs["alarmDescription"].rsplit(" ", 1)[1]
        ending = alarm.inputs["name"].removeprefix("rehearsal-blue")
        assert f"`…{ending}`" in page.read_text().split("## 1.")[0]


def test_one_stale_replica_alarms_however_many_routers_count_it() -> None:
    alarm = one(rehearsal(), "aws:cloudwatch/metricAlarm:MetricAlarm", "stale-replicas").inputs
    assert (alarm["metricName"], alarm["statistic"], alarm["threshold"]) == ("StaleReplicas", "Maximum", 0)
    assert alarm["dimensions"] == {"Fleet": "rehearsal", "Slot": "blue"}


def test_the_p95_alarm_watches_the_tables_line() -> None:
    alarm = one(rehearsal(), "aws:cloudwatch/metricAlarm:MetricAlarm", "p95").inputs
    assert alarm["threshold"] == slo.alert("retrieval_p95_ms") == 500
    assert (alarm["extendedStatistic"], alarm["period"], alarm["namespace"]) == ("p95", 10, "vectorfleet")
    assert alarm["dimensions"] == {"Fleet": "rehearsal", "Slot": "blue"}


def test_the_error_rate_is_computed_from_counts() -> None:
    alarm = one(rehearsal(), "aws:cloudwatch/metricAlarm:MetricAlarm", "error-rate").inputs
    rate, errors, requests = alarm["metricQueries"]
    assert alarm["threshold"] == slo.alert("error_rate_percent") == 5
    assert rate["expression"] == "100 * errors / requests"
    assert [row["metric"]["metricName"] for row in (errors, requests)] == ["Errors", "Requests"]
    assert {row["metric"]["period"] for row in (errors, requests)} == {10}
    assert [row.get("returnData") for row in (rate, errors, requests)] == [True, False, False]


# --- the rehearsal's provider


def test_endpoints_cover_every_service_the_program_uses() -> None:
    """A service without an endpoint would be asked for at the real AWS."""
    (endpoints,) = json.loads(stack_config("rehearsal")["aws:endpoints"])
    modules = {row.type.split(":")[1].split("/")[0] for row in rehearsal().resources if row.custom}
    services = {{"lb": "elbv2", "vpc": "ec2"}.get(module, module) for module in modules}
    # The provider itself asks STS for the account that allowedAccountIds checks.
    assert endpoints.keys() == services | {"sts"}
    assert set(endpoints.values()) == {"http://127.0.0.1:4566"}


def test_the_rehearsal_can_reach_no_real_account() -> None:
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
def test_a_stack_that_cannot_be_is_refused_before_anything_is_made(
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


def test_pulumi_runs_the_folder_itself_as_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi's executor calls runpy on `main:` of Pulumi.yaml, from inside it and without a package."""
    monkeypatch.chdir(PROJECT_ROOT / "infra")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def program() -> None:
        runpy.run_path(".", run_name="__main__")

    recording = record(program, stack_config("rehearsal"), project="vectorfleet", stack="rehearsal", model=synthetic)
    assert recording == rehearsal()


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
