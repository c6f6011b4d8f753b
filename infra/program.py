"""The Pulumi program: from configuration over the plan to components and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import artifact
from infra.alarms import Alarms
from infra.balancer import Balancer
from infra.catalog import INDEXER_TYPE
from infra.config import NAMESPACE, ConfigError, Settings, settings_from
from infra.firewall import Firewall
from infra.group import GroupArgs
from infra.identity import Identity
from infra.indexer import Indexer
from infra.network import Network
from infra.parameters import Parameters
from infra.plan import Plan
from infra.restore import SMALLEST_DISK, Disk
from infra.router import Routers
from infra.shard import Shard
from infra.storage import Storage
from infra.user_data import Role
from infra.workload import plan_for, router_type


@dataclass(frozen=True)
class Foundation:
    """What stands before any instance: network, buckets, parameters, load balancer."""

    settings: Settings
    region: str
    network: Network
    firewall: Firewall
    storage: Storage
    parameters: Parameters
    balancer: Balancer


@dataclass(frozen=True)
class Slot:
    """The processes of one slot."""

    shards: Sequence[Shard]
    routers: Routers
    indexer: Indexer


def deploy() -> None:
    """Register every resource of the stack whose configuration Pulumi has loaded, and export its outputs."""
    settings, region = configured()
    plan = plan_for(settings)
    foundation = _foundation(settings, region, plan)
    slot = _slot(foundation, plan)
    _export(foundation, plan, slot, Alarms(settings))


def configured() -> tuple[Settings, str]:
    """Settings and region of the stack. Raises ConfigError with sentences a person can act on."""
    prefix = f"{NAMESPACE}:"
    given = pulumi.runtime.config.CONFIG.get()
    settings = settings_from(
        {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
    )
    region = aws.config.region
    if not region:
        raise ConfigError("Configuration key aws:region is missing. Set it with `pulumi config set aws:region …`.")
    strangers = [zone for zone in settings.zones if not zone.startswith(region)]
    if strangers:
        raise ConfigError(
            f"Configuration key {NAMESPACE}:zones has {', '.join(strangers)}; allowed: zones of {region}. "
            f"Change it with `pulumi config set --path {NAMESPACE}:zones[0] …`."
        )
    return settings, region


def _foundation(settings: Settings, region: str, plan: Plan) -> Foundation:
    network = Network(settings, region)
    firewall = Firewall(settings, network)
    storage = Storage(settings, artifact.build())
    return Foundation(
        settings=settings,
        region=region,
        network=network,
        firewall=firewall,
        storage=storage,
        parameters=Parameters(settings, plan, storage),
        balancer=Balancer(settings, network, firewall),
    )


def _slot(base: Foundation, plan: Plan) -> Slot:
    settings = base.settings
    subnets = dict(zip(settings.zones, base.network.private_subnets, strict=True))
    return Slot(
        shards=_shards(base, plan, {zone: subnet.id for zone, subnet in subnets.items()}),
        routers=Routers(
            _group_args(base, "router", router_type(settings)),
            base.balancer.target_groups[settings.slot].arn,
            plan.routers,
        ),
        indexer=Indexer(_group_args(base, "indexer", INDEXER_TYPE)),
    )


def _shards(base: Foundation, plan: Plan, subnets: dict[str, pulumi.Output[str]]) -> list[Shard]:
    common = _group_args(base, "node", plan.instance_type, plan.disk)
    return [
        Shard(number, [place for place in plan.placements if place.shard == number], subnets, common)
        for number in range(plan.shards)
    ]


def _group_args(base: Foundation, role: str, instance_type: str, disk: Disk = SMALLEST_DISK) -> GroupArgs:
    settings, network = base.settings, base.network
    identity = Identity(settings.fleet, role, base.storage, base.parameters.arn)
    return GroupArgs(
        role=Role(
            name=role,
            fleet=settings.fleet,
            slot=settings.slot,
            region=base.region,
            parameters=base.parameters.prefix,
        ),
        image=settings.ami_id,
        instance_type=instance_type,
        subnets=[subnet.id for subnet in network.private_subnets],
        security_group=base.firewall.groups[role].id,
        profile_arn=identity.profile.arn,
        storage=base.storage,
        size=1,
        first_boot=_first_boot(base, identity, role),
        grace_seconds=settings.objectives.recovery_time_seconds,
        disk=disk,
    )


def _first_boot(base: Foundation, identity: Identity, role: str) -> list[pulumi.Resource]:
    """A group's own references name none of these, and an instance that boots before them fails."""
    balancer = [base.balancer.listener] if role == "router" else []
    return [
        identity.policy,
        *base.network.routes,
        *base.network.endpoints,
        *base.firewall.rules,
        *base.parameters.all,
        base.storage.artifact_object,
        *balancer,
    ]


def _export(base: Foundation, plan: Plan, slot: Slot, alarms: Alarms) -> None:
    settings, buckets = base.settings, base.storage.names
    outputs: dict[str, pulumi.Input[object]] = {
        "fleet": settings.fleet,
        "region": base.region,
        "slot": settings.slot,
        "endpoint": base.balancer.endpoint,
        "shards": plan.shards,
        "replicas": plan.replicas,
        **{f"{role}_bucket": name for role, name in buckets.items()},
        "parameters": base.parameters.prefix,
        "listener_arn": base.balancer.listener.arn,
        "target_groups": {name: group.arn for name, group in base.balancer.target_groups.items()},
        "alerts_topic": alarms.topic.arn,
        "alarms": alarms.names,
        "cells": [cell.described() for shard in slot.shards for cell in shard.cells],
        "router_group": slot.routers.instances.group.name,
        "indexer_group": slot.indexer.instances.group.name,
        "plan": plan.to_json(),
    }
    for name, value in outputs.items():
        pulumi.export(name, value)
