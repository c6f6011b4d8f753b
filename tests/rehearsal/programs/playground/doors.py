"""Scenes of network access: security groups, DNS names, listener rules, and groups that wait for load balancers."""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
LISTS = ("pl-63a5400a", "pl-02cd2c6b")


def doors() -> None:
    """Rules with descriptions for every sort of peer, and a closed default group."""
    step = config.require_int("step")
    vpc = aws.ec2.Vpc("net", cidr_block="127.89.0.0/16")
    closed = aws.ec2.DefaultSecurityGroup("closed", vpc_id=vpc.id, tags={"step": str(step)})
    group, other, third = (
        aws.ec2.SecurityGroup(name, vpc_id=vpc.id, description=f"the {name} group")
        for name in ("own", "other", "third")
    )
    said = {1: "first", 2: "second"}.get(step)
    port = 80 * step
    rules = [
        aws.vpc.SecurityGroupIngressRule(
            "group",
            security_group_id=group.id,
            referenced_security_group_id=other.id if step == 1 else third.id,
            description=said,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
        ),
        aws.vpc.SecurityGroupEgressRule(
            "list",
            security_group_id=group.id,
            prefix_list_id=LISTS[step % 2],
            description=said,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
        ),
        aws.vpc.SecurityGroupEgressRule(
            "range", security_group_id=group.id, cidr_ipv4=f"127.{step}.0.0/16", description=said, ip_protocol="-1"
        ),
    ]
    pulumi.export("closed", closed.id)
    pulumi.export("vpc", vpc.id)
    pulumi.export("rules", [rule.id for rule in rules])


def rules_in_a_default_group() -> None:
    """A default group with an ingress rule."""
    vpc = aws.ec2.Vpc("net", cidr_block="127.89.0.0/16")
    aws.ec2.DefaultSecurityGroup(
        "open", vpc_id=vpc.id, ingress=[{"protocol": "-1", "self": True, "from_port": 0, "to_port": 0}]
    )


def named() -> None:
    """An alias record of a load balancer in a foreign zone. Step 3 changes its name."""
    step = config.require_int("step")
    record = aws.route53.Record(
        "front",
        zone_id=config.require("zone"),
        name=config.get("name") or ("search.example.com" if step < 3 else "find"),
        type=aws.route53.RecordType.A,
        aliases=[
            {
                "name": f"front-{step}.elb.amazonaws.com",
                "zone_id": "Z35SXDOTRQ7X7K",
                "evaluate_target_health": step == 2,
            }
        ],
        allow_overwrite=config.get_bool("overwrite"),
    )
    pulumi.export("fqdn", record.fqdn)
    pulumi.export("id", record.id)


def other_record() -> None:
    """A record of another type."""
    aws.route53.Record(
        "six",
        zone_id=config.require("zone"),
        name="six",
        type="AAAA",
        aliases=[{"name": "front.elb.amazonaws.com", "zone_id": "Z35SXDOTRQ7X7K", "evaluate_target_health": False}],
    )


def ruled() -> None:
    """Two rules of a listener, told apart by a header. Step 3 moves them to another listener."""
    step = config.require_int("step")
    vpc = aws.ec2.Vpc("net", cidr_block="127.92.0.0/16")
    subnets = [
        aws.ec2.Subnet(zone, vpc_id=vpc.id, cidr_block=f"127.92.{16 * i}.0/20", availability_zone=f"us-east-1{zone}")
        for i, zone in enumerate("ab")
    ]
    balancer = aws.lb.LoadBalancer("front", internal=True, subnets=[subnet.id for subnet in subnets])
    blue, green = (aws.lb.TargetGroup(name, port=8080, protocol="HTTP", vpc_id=vpc.id) for name in ("blue", "green"))
    listeners = [
        aws.lb.Listener(
            f"at-{port}",
            load_balancer_arn=balancer.arn,
            port=port,
            protocol="HTTP",
            default_actions=[{"type": "forward", "target_group_arn": blue.arn}],
        )
        for port in (8080, 8081)
    ]
    shares = [
        aws.lb.ListenerRuleActionForwardTargetGroupArgs(arn=group.arn, weight=weight)
        for group, weight in ((blue, 1), (green, step))
    ]
    forward = aws.lb.ListenerRuleActionForwardArgs(target_groups=shares)
    rules = [
        aws.lb.ListenerRule(
            name,
            listener_arn=listeners[step // 3].arn,
            priority=priority + 10 * step,
            conditions=[
                {"http_header": {"http_header_name": "X-Slot", "values": values[:step]}},
                {"http_header": {"http_header_name": "X-Step", "values": ["?"]}},
            ],
            actions=[aws.lb.ListenerRuleActionArgs(type="forward", forward=forward)],
            tags={"step": str(step)},
        )
        for priority, (name, *values) in enumerate([("green", "green", "g*"), ("blue", "blue", "b*")])
    ]
    pulumi.export("rules", [rule.arn for rule in rules])
    pulumi.export("listeners", [listener.arn for listener in listeners])


def ruled_by_path() -> None:
    """A rule with a condition that the emulated load balancer does not check."""
    aws.lb.ListenerRule(
        "path",
        listener_arn="arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/front/1/2",
        priority=1,
        conditions=[{"path_pattern": {"values": ["/v2/*"]}}],
        actions=[{"type": "forward", "target_group_arn": "arn"}],
    )


def reached() -> None:
    """A group that waits until a number of its instances are healthy in its target groups."""
    vpc = aws.ec2.Vpc("net", cidr_block="127.91.0.0/16")
    subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="127.91.0.0/20", availability_zone="us-east-1a")
    targets = [
        aws.lb.TargetGroup(name, name=name, port=8080, protocol="HTTP", vpc_id=vpc.id) for name in ("blue", "green")
    ]
    template = aws.ec2.LaunchTemplate("template", image_id="ami-0123456789abcdef0", instance_type="m7i.large")
    group = aws.autoscaling.Group(
        "routers",
        name="routers",
        min_size=config.get_int("size") or 2,
        max_size=4,
        vpc_zone_identifiers=[subnet.id],
        launch_template={"id": template.id, "version": "1"},
        target_group_arns=[one.arn for one in targets],
        force_delete=True,
        ignore_failed_scaling_activities=True,
        wait_for_capacity_timeout=config.require("timeout"),
        wait_for_elb_capacity=config.get_int("served"),
        min_elb_capacity=config.get_int("served_at_first"),
    )
    pulumi.export("group", group.name)


SCENES: tuple[Callable[[], object], ...] = (
    doors,
    named,
    other_record,
    reached,
    ruled,
    ruled_by_path,
    rules_in_a_default_group,
)
