"""The emulator's process, its admin API and its load balancers."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rehearsal.emulator.launch import EmulatorFailedError, start
from tests.wire.fleet import Fleet, eventually, unique

PROJECT = Path(__file__).resolve().parents[2]
Connect = Callable[[str], Any]


def post(url: str, body: object) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def test_a_port_in_use_is_one_sentence_and_exit_code_1(emulator: str) -> None:
    port = emulator.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "rehearsal.emulator", "--port", port],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: port {port} on 127.0.0.1 can't be used (Address already in use)")
    assert done.stderr.count("\n") == 1


def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    with pytest.raises(EmulatorFailedError, match="ended with exit code 2"):
        start(70000, tmp_path)


def test_a_load_balancer_has_an_address_of_its_first_subnet(fleet: Fleet, connect: Connect) -> None:
    elb = connect("elbv2")
    made = elb.create_load_balancer(Name=unique("front"), Subnets=fleet.subnets)["LoadBalancers"][0]
    subnet = connect("ec2").describe_subnets(SubnetIds=fleet.subnets[:1])["Subnets"][0]
    assert ipaddress.ip_address(made["DNSName"]) in ipaddress.ip_network(subnet["CidrBlock"])
    described = elb.describe_load_balancers(LoadBalancerArns=[made["LoadBalancerArn"]])["LoadBalancers"][0]
    assert described["DNSName"] == made["DNSName"]
    with fleet.group(fleet.template(), 6) as group:
        assert made["DNSName"] not in {i["PrivateIpAddress"] for i in fleet.instances(group)}
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])


def test_target_health_is_what_was_published(fleet: Fleet, connect: Connect, emulator: str) -> None:
    targets = fleet.target_group()
    with fleet.group(fleet.template(), 1, TargetGroupARNs=[targets]) as group:
        name = fleet.instances(group)[0]["InstanceId"]
        assert fleet.targets(targets) == {name: "unused"}
        entry = {"target_group": targets, "id": name, "state": "unhealthy", "reason": "Target.Timeout"}
        assert post(f"{emulator}/_vectorfleet/target-health", {"targets": [entry]}) == (200, {"targets": 1})
        answer = connect("elbv2").describe_target_health(TargetGroupArn=targets)
        health = answer["TargetHealthDescriptions"][0]["TargetHealth"]
        assert (health["State"], health["Reason"]) == ("unhealthy", "Target.Timeout")


def test_a_group_with_elb_health_replaces_unhealthy_targets(fleet: Fleet, emulator: str) -> None:
    targets = fleet.target_group()
    settings: dict[str, Any] = {"TargetGroupARNs": [targets], "HealthCheckType": "ELB", "HealthCheckGracePeriod": 0}
    with fleet.group(fleet.template(), 1, **settings) as group:
        victim = fleet.instances(group)[0]["InstanceId"]
        entry = {"target_group": targets, "id": victim, "state": "unhealthy"}
        post(f"{emulator}/_vectorfleet/target-health", {"targets": [entry]})
        eventually(lambda: victim not in fleet.targets(targets))
        assert fleet.instances(group)[0]["InstanceId"] != victim


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("target-health", {"targets": [{"id": "i-1"}]}, 400, "needs target_group, id and a state"),
        ("target-health", {}, 400, "targets"),
        ("nothing", {}, 404, "is unknown; there is GET /_vectorfleet/health"),
    ],
)
def test_the_admin_api_explains_its_refusals(emulator: str, path: str, body: object, status: int, words: str) -> None:
    found, answer = post(f"{emulator}/_vectorfleet/{path}", body)
    assert found == status
    assert words in answer["error"]


def test_descriptions_of_rules_between_groups_are_kept(fleet: Fleet, connect: Connect) -> None:
    ec2 = connect("ec2")
    group = ec2.create_security_group(GroupName=unique("guard"), Description="d", VpcId=fleet.vpc)["GroupId"]
    pair = {"GroupId": group, "Description": "router from balancer"}
    permission = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [pair]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    found = [r.get("Description") for r in rules["SecurityGroupRules"] if not r["IsEgress"]]
    assert found == ["router from balancer"]
