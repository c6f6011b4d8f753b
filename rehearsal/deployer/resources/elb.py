"""Load balancers, target groups, listeners and their rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.kind import Kind, Tagging, found, names, text_of
from rehearsal.deployer.state import Properties, Resource

TAGGING = Tagging(add="AddTags", remove="RemoveTags", resource="ResourceArns")
LOGS = {name: f"access_logs.s3.{name}" for name in ("enabled", "bucket", "prefix")}
# Pulumi nests the health check, the API spreads it over parameters of its own.
HEALTH = {
    "enabled": "healthCheckEnabled",
    "interval": "healthCheckIntervalSeconds",
    "path": "healthCheckPath",
    "port": "healthCheckPort",
    "protocol": "healthCheckProtocol",
    "timeout": "healthCheckTimeoutSeconds",
    "healthyThreshold": "healthyThresholdCount",
    "unhealthyThreshold": "unhealthyThresholdCount",
}


@dataclass(frozen=True, kw_only=True)
class ElbKind(Kind):
    """A resource of the load balancing API, known by its ARN, some of whose settings are textual attributes."""

    service: str = "elbv2"
    name_limit: int = 32
    tagging: Tagging = TAGGING
    attributes: Mapping[str, str] = field(default_factory=dict)
    attributes_with: str = ""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        arn = super().create(cloud, inputs)
        self.set_attributes(cloud, arn, inputs, frozenset(inputs))
        return arn

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        described = found(lambda: cloud.call("elbv2", self.read_with, Names=[inputs["name"]])[self.described]) or []
        return [str(one[self.identifier]) for one in described]

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        # Only the changed properties: others may change an ignored one in the meantime.
        super().change(cloud, old, inputs, changed)
        self.set_attributes(cloud, old.id, inputs, changed)

    def set_attributes(self, cloud: Cloud, arn: str, inputs: Properties, changed: frozenset[str]) -> None:
        """Set the attributes of changed properties."""
        given = self.attribute_values(inputs, changed)
        listed = [{"Key": key, "Value": text_of(value)} for key, value in given.items()]
        if listed:
            cloud.call("elbv2", self.attributes_with, **{self.identifier: arn}, Attributes=listed)

    def attribute_values(self, inputs: Properties, changed: frozenset[str]) -> Properties:
        """Return the attributes of changed properties by the API's keys."""
        return {api: inputs[name] for name, api in self.attributes.items() if name in changed and name in inputs}


class LoadBalancer(ElbKind):
    """aws_lb of type application."""

    def shaped(self, properties: Properties) -> Properties:
        if "internal" not in properties:
            return properties
        return properties | {"scheme": "internal" if properties["internal"] else "internet-facing"}

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        suffix = {"arnSuffix": id_.partition(":loadbalancer/")[2]}
        return super().outputs_in(cloud, id_, described, inputs) | suffix

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        balancer = {"LoadBalancerArn": old.id}
        if "subnets" in changed:
            cloud.call("elbv2", "SetSubnets", **balancer, Subnets=inputs["subnets"])
        if "securityGroups" in changed:
            cloud.call("elbv2", "SetSecurityGroups", **balancer, SecurityGroups=inputs.get("securityGroups", []))
        if "ipAddressType" in changed:
            cloud.call("elbv2", "SetIpAddressType", **balancer, IpAddressType=inputs.get("ipAddressType", "ipv4"))
        super().change(cloud, old, inputs, changed)

    def attribute_values(self, inputs: Properties, changed: frozenset[str]) -> Properties:
        values = super().attribute_values(inputs, changed)
        if "accessLogs" in changed:
            logs = inputs.get("accessLogs") or {"enabled": False}
            values |= {api: logs[name] for name, api in LOGS.items() if name in logs}
        return values


class TargetGroup(ElbKind):
    """aws_lb_target_group. The health check's protocol changes in place."""

    def shaped(self, properties: Properties) -> Properties:
        check = dict(properties.get("healthCheck", {}))
        matcher = check.pop("matcher", None)
        spread = {HEALTH.get(key, f"healthCheck.{key}"): value for key, value in check.items()}
        given = {key: value for key, value in properties.items() if key != "healthCheck"} | spread
        return given | ({"matcher": {"httpCode": matcher}} if matcher is not None else {})

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        return super().outputs_in(cloud, id_, described, inputs) | {"arnSuffix": id_.rpartition(":")[2]}


class Listener(ElbKind):
    """aws_lb_listener."""

    def shaped(self, properties: Properties) -> Properties:
        given = dict(properties)
        if "certificateArn" in given:
            given["certificates"] = [{"certificateArn": given.pop("certificateArn")}]
        return given

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        balancer = {"LoadBalancerArn": inputs["loadBalancerArn"]}
        listeners = found(lambda: cloud.call("elbv2", self.read_with, **balancer)["Listeners"]) or []
        return [str(x["ListenerArn"]) for x in listeners if x.get("Port") == inputs.get("port")]


class ListenerRule(ElbKind):
    """aws_lb_listener_rule with conditions on headers, the only ones that the emulated load balancer checks."""

    def shaped(self, properties: Properties) -> Properties:
        if "conditions" not in properties:
            return properties
        return properties | {"conditions": [{"field": "http-header", **one} for one in properties["conditions"]]}

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        listener = {"ListenerArn": inputs["listenerArn"]}
        rules = found(lambda: cloud.pages("elbv2", self.read_with, self.described, **listener)) or []
        return [str(x["RuleArn"]) for x in rules if x["Priority"] == str(inputs["priority"])]

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if "priority" in changed:
            priority = {"RuleArn": old.id, "Priority": int(inputs["priority"])}
            cloud.call("elbv2", "SetRulePriorities", RulePriorities=[priority])
        super().change(cloud, old, inputs, changed)


BALANCER_ATTRIBUTES = {
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
    "enableHttp2": "routing.http2.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
    "desyncMitigationMode": "routing.http.desync_mitigation_mode",
    "preserveHostHeader": "routing.http.preserve_host_header.enabled",
    "xffHeaderProcessingMode": "routing.http.xff_header_processing.mode",
}
# Actions of listeners and of rules.
ACTIONS = {
    "*.forward": "ForwardConfig",
    "*.arn": "TargetGroupArn",
    "*.stickiness": "TargetGroupStickinessConfig",
    "*.duration": "DurationSeconds",
    "*.redirect": "RedirectConfig",
    "*.fixedResponse": "FixedResponseConfig",
}
GROUP_ATTRIBUTES = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
    "slowStart": "slow_start.duration_seconds",
}
KINDS = (
    LoadBalancer(
        token="aws:lb/loadBalancer:LoadBalancer",
        name_property="name",
        identifier="LoadBalancerArn",
        create_with="CreateLoadBalancer",
        id="LoadBalancers[0].LoadBalancerArn",
        read_with="DescribeLoadBalancers",
        described="LoadBalancers",
        attributes_with="ModifyLoadBalancerAttributes",
        delete_with="DeleteLoadBalancer",
        attributes=BALANCER_ATTRIBUTES,
        replaced_by=names("name internal loadBalancerType"),
        updated_by=names("securityGroups subnets ipAddressType accessLogs") | frozenset(BALANCER_ATTRIBUTES),
        sets=names("securityGroups subnets"),
        defaults={
            "enableDeletionProtection": False,
            "enableHttp2": True,
            "idleTimeout": 60,
            "internal": False,
            "loadBalancerType": "application",
        },
        renames={"loadBalancerType": "Type"},
        outputs={
            "arn": "{id}",
            "dnsName": "DNSName",
            "name": "LoadBalancerName",
            "vpcId": "VpcId",
            "zoneId": "CanonicalHostedZoneId",
        },
    ),
    TargetGroup(
        token="aws:lb/targetGroup:TargetGroup",
        name_property="name",
        identifier="TargetGroupArn",
        create_with="CreateTargetGroup",
        id="TargetGroups[0].TargetGroupArn",
        read_with="DescribeTargetGroups",
        described="TargetGroups",
        update_with="ModifyTargetGroup",
        attributes_with="ModifyTargetGroupAttributes",
        delete_with="DeleteTargetGroup",
        attributes=GROUP_ATTRIBUTES,
        replaced_by=names("name port protocol protocolVersion targetType vpcId"),
        updated_by=names("healthCheck") | frozenset(GROUP_ATTRIBUTES),
        defaults={"deregistrationDelay": 300, "slowStart": 0, "targetType": "instance"},
        outputs={"arn": "{id}", "name": "TargetGroupName"},
    ),
    Listener(
        token="aws:lb/listener:Listener",
        identifier="ListenerArn",
        create_with="CreateListener",
        id="Listeners[0].ListenerArn",
        read_with="DescribeListeners",
        described="Listeners",
        update_with="ModifyListener",
        delete_with="DeleteListener",
        replaced_by=names("loadBalancerArn"),
        updated_by=names("port protocol sslPolicy certificateArn defaultActions"),
        renames=ACTIONS,
        outputs={"arn": "{id}"},
    ),
    ListenerRule(
        token="aws:lb/listenerRule:ListenerRule",
        identifier="RuleArn",
        create_with="CreateRule",
        id="Rules[0].RuleArn",
        read_with="DescribeRules",
        described="Rules",
        update_with="ModifyRule",
        delete_with="DeleteRule",
        replaced_by=names("listenerArn"),
        updated_by=names("priority conditions actions"),
        sets=names("conditions"),
        renames={**ACTIONS, "*.httpHeader": "HttpHeaderConfig"},
        outputs={"arn": "{id}"},
    ),
)
