"""Load balancers, target groups, listeners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, found, only, tag_changes, tag_list
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters


class ElbKind(Kind):
    """A resource of the load balancing API: known by its ARN, with settings kept as textual attributes."""

    service = "elbv2"
    name_limit = 32
    attributes: ClassVar[Mapping[str, str]] = {}

    def attribute_list(self, inputs: Properties, names: frozenset[str]) -> list[dict[str, str]]:
        """The attributes among these properties as the API takes them."""
        chosen = [(api, inputs[name]) for name, api in self.attributes.items() if name in names and name in inputs]
        return [{"Key": api, "Value": _text(value)} for api, value in chosen]

    def retag(self, cloud: Cloud, old: Resource, inputs: Properties) -> None:
        """Bring the tags up to date."""
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            cloud.client("elbv2").remove_tags(ResourceArns=[old.id], TagKeys=gone)
        if new:
            cloud.client("elbv2").add_tags(ResourceArns=[old.id], Tags=tag_list(new))

    def tags(self, inputs: Properties) -> dict[str, Any]:
        """Tags to give while creating; the API refuses an empty list."""
        return {"Tags": tag_list(inputs["tagsAll"])} if inputs.get("tagsAll") else {}


class LoadBalancer(ElbKind):
    """aws_lb of type application."""

    token = "aws:lb/loadBalancer:LoadBalancer"
    name_property = "name"
    attributes: ClassVar[Mapping[str, str]] = {
        "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
        "enableDeletionProtection": "deletion_protection.enabled",
        "enableHttp2": "routing.http2.enabled",
        "idleTimeout": "idle_timeout.timeout_seconds",
        "desyncMitigationMode": "routing.http.desync_mitigation_mode",
        "preserveHostHeader": "routing.http.preserve_host_header.enabled",
        "xffHeaderProcessingMode": "routing.http.xff_header_processing.mode",
    }
    replaced_by = frozenset({"name", "internal", "loadBalancerType"})
    updated_by = frozenset({*attributes, "securityGroups", "subnets", "ipAddressType", "accessLogs"})
    sets = frozenset({"securityGroups", "subnets"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "enableDeletionProtection": False,
        "enableHttp2": True,
        "idleTimeout": 60,
        "internal": False,
        "loadBalancerType": "application",
    }

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("elbv2")
        direct = ("name", "securityGroups", "subnets", "ipAddressType", "loadBalancerType")
        asked = {key: inputs[key] for key in direct if key in inputs}
        asked["scheme"] = "internal" if inputs["internal"] else "internet-facing"
        query = parameters(client, "CreateLoadBalancer", asked, {"loadBalancerType": "Type"})
        arn: str = client.create_load_balancer(**query, **self.tags(inputs))["LoadBalancers"][0]["LoadBalancerArn"]
        self._set_attributes(cloud, arn, inputs, frozenset(inputs))
        return arn

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        balancer = self._described(cloud, Names=[inputs["name"]])
        return [balancer["LoadBalancerArn"]] if balancer else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        balancer = self._described(cloud, LoadBalancerArns=[id_])
        return balancer and {
            "arn": id_,
            "arnSuffix": id_.partition(":loadbalancer/")[2],
            "dnsName": balancer["DNSName"],
            "name": balancer["LoadBalancerName"],
            "vpcId": balancer["VpcId"],
            "zoneId": balancer["CanonicalHostedZoneId"],
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("elbv2")
        if "subnets" in changed:
            client.set_subnets(LoadBalancerArn=old.id, Subnets=inputs["subnets"])
        if "securityGroups" in changed:
            client.set_security_groups(LoadBalancerArn=old.id, SecurityGroups=inputs.get("securityGroups", []))
        if "ipAddressType" in changed:
            client.set_ip_address_type(LoadBalancerArn=old.id, IpAddressType=inputs.get("ipAddressType", "ipv4"))
        self._set_attributes(cloud, old.id, inputs, changed)
        self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("elbv2").delete_load_balancer(LoadBalancerArn=resource.id))

    def _described(self, cloud: Cloud, **query: Any) -> dict[str, Any] | None:
        balancers = found(lambda: cloud.client("elbv2").describe_load_balancers(**query)["LoadBalancers"])
        balancer: dict[str, Any] | None = only(balancers or [])
        return balancer

    def _set_attributes(self, cloud: Cloud, arn: str, inputs: Properties, names: frozenset[str]) -> None:
        listed = self.attribute_list(inputs, names)
        if "accessLogs" in names:
            listed += _access_logs(inputs.get("accessLogs") or {"enabled": False})
        if listed:
            cloud.client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=listed)


class TargetGroup(ElbKind):
    """aws_lb_target_group."""

    token = "aws:lb/targetGroup:TargetGroup"
    name_property = "name"
    attributes: ClassVar[Mapping[str, str]] = {
        "deregistrationDelay": "deregistration_delay.timeout_seconds",
        "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
        "slowStart": "slow_start.duration_seconds",
    }
    # Not in `replaced_by` for the provider only: a health check's protocol may change in place.
    replaced_by = frozenset({"name", "port", "protocol", "protocolVersion", "targetType", "vpcId"})
    updated_by = frozenset({*attributes, "healthCheck"})
    defaults: ClassVar[Mapping[str, Any]] = {"deregistrationDelay": 300, "slowStart": 0, "targetType": "instance"}
    health: ClassVar[Mapping[str, str]] = {
        "enabled": "healthCheckEnabled",
        "interval": "healthCheckIntervalSeconds",
        "path": "healthCheckPath",
        "port": "healthCheckPort",
        "protocol": "healthCheckProtocol",
        "timeout": "healthCheckTimeoutSeconds",
        "healthyThreshold": "healthyThresholdCount",
        "unhealthyThreshold": "unhealthyThresholdCount",
    }

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("elbv2")
        asked = {key: inputs[key] for key in sorted(self.replaced_by) if key in inputs} | self._health(inputs)
        query = parameters(client, "CreateTargetGroup", asked)
        arn: str = client.create_target_group(**query, **self.tags(inputs))["TargetGroups"][0]["TargetGroupArn"]
        self._set_attributes(cloud, arn, inputs, frozenset(inputs))
        return arn

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        group = self._described(cloud, Names=[inputs["name"]])
        return [group["TargetGroupArn"]] if group else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        group = self._described(cloud, TargetGroupArns=[id_])
        return group and {"arn": id_, "arnSuffix": id_.rpartition(":")[2], "name": group["TargetGroupName"]}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("elbv2")
        if "healthCheck" in changed:
            query = parameters(client, "ModifyTargetGroup", self._health(inputs))
            client.modify_target_group(TargetGroupArn=old.id, **query)
        self._set_attributes(cloud, old.id, inputs, changed)
        self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("elbv2").delete_target_group(TargetGroupArn=resource.id))

    def _described(self, cloud: Cloud, **query: Any) -> dict[str, Any] | None:
        groups = found(lambda: cloud.client("elbv2").describe_target_groups(**query)["TargetGroups"])
        group: dict[str, Any] | None = only(groups or [])
        return group

    def _health(self, inputs: Properties) -> Properties:
        """Pulumi nests the health check, the API spreads it over parameters of its own."""
        check = dict(inputs.get("healthCheck", {}))
        matcher = check.pop("matcher", None)
        spread = {self.health.get(key, f"healthCheck.{key}"): value for key, value in check.items()}
        return spread | ({"matcher": {"httpCode": matcher}} if matcher is not None else {})

    def _set_attributes(self, cloud: Cloud, arn: str, inputs: Properties, names: frozenset[str]) -> None:
        listed = self.attribute_list(inputs, names)
        if listed:
            cloud.client("elbv2").modify_target_group_attributes(TargetGroupArn=arn, Attributes=listed)


class Listener(ElbKind):
    """aws_lb_listener."""

    token = "aws:lb/listener:Listener"
    replaced_by = frozenset({"loadBalancerArn"})
    updated_by = frozenset({"port", "protocol", "sslPolicy", "certificateArn", "defaultActions"})
    renames: ClassVar[Mapping[str, str]] = {
        "defaultActions.forward": "ForwardConfig",
        "defaultActions.forward.targetGroups.arn": "TargetGroupArn",
        "defaultActions.forward.stickiness": "TargetGroupStickinessConfig",
        "defaultActions.forward.stickiness.duration": "DurationSeconds",
        "defaultActions.redirect": "RedirectConfig",
        "defaultActions.fixedResponse": "FixedResponseConfig",
    }

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        made = cloud.client("elbv2").create_listener(
            **self._request(cloud, "CreateListener", inputs), **self.tags(inputs)
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        of_balancer = {"LoadBalancerArn": inputs["loadBalancerArn"]}
        listeners = found(lambda: cloud.client("elbv2").describe_listeners(**of_balancer)["Listeners"]) or []
        return [str(x["ListenerArn"]) for x in listeners if x.get("Port") == inputs.get("port")]

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        listeners = found(lambda: cloud.client("elbv2").describe_listeners(ListenerArns=[id_])["Listeners"])
        return {"arn": id_} if listeners else None

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        # Only what changed: an ignored property belongs to somebody else, who may have moved it since.
        changes = {key: inputs[key] for key in changed & self.updated_by if key in inputs}
        if changes:
            query = self._request(cloud, "ModifyListener", changes)
            cloud.client("elbv2").modify_listener(ListenerArn=old.id, **query)
        self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("elbv2").delete_listener(ListenerArn=resource.id))

    def _request(self, cloud: Cloud, operation: str, inputs: Properties) -> dict[str, Any]:
        asked = {key: value for key, value in inputs.items() if key in self.replaced_by | self.updated_by}
        if "certificateArn" in asked:
            asked["certificates"] = [{"certificateArn": asked.pop("certificateArn")}]
        return parameters(cloud.client("elbv2"), operation, asked, self.renames)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _access_logs(logs: Properties) -> list[dict[str, str]]:
    names = {"enabled": "access_logs.s3.enabled", "bucket": "access_logs.s3.bucket", "prefix": "access_logs.s3.prefix"}
    return [{"Key": api, "Value": _text(logs[name])} for name, api in names.items() if name in logs]


KINDS = (LoadBalancer(), TargetGroup(), Listener())
