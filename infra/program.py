"""The Pulumi program: from configuration over the plan to components and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from infra import artifact, cost, model_files, naming, wheelhouse
from infra.alarms import Alarms, Group
from infra.balancer import Balancer
from infra.budget import budget
from infra.config import NAMESPACE, ConfigError, settings_from
from infra.dashboard import dashboard
from infra.firewall import Firewall
from infra.generators import LoadGenerators
from infra.group import GroupArgs
from infra.identity import Identity, grounds
from infra.indexer import Indexer
from infra.keys import Keys
from infra.logs import AccessLogs, log_group
from infra.network import Network
from infra.parameters import Parameters, digest
from infra.placeholders import placeholders
from infra.placement import MAX_ROUTERS
from infra.plan import Plan
from infra.provider import provider
from infra.restore import SMALLEST_DISK, Disk
from infra.router import Routers, Scaling
from infra.settings import Settings
from infra.shard import Shard
from infra.stack import is_rehearsed
from infra.storage import Ground, Storage
from infra.user_data import Role
from infra.vault import Vault
from infra.workload import plan_for, types_by_role

ROUTER_GROWTH = 2  # the router group may grow to so many times the planned routers, unless configuration says another


@dataclass(frozen=True)
class Programs:
    """What instances fetch beside the artifact, as far as it is built and they need it."""

    wheels: wheelhouse.Wheelhouse | None
    model: model_files.ModelFiles | None


@dataclass(frozen=True)
class Foundation:
    """What stands before any instance: network, keys, buckets, logs, parameters, load balancer."""

    settings: Settings
    region: str
    types: Mapping[str, Sequence[str]]
    network: Network
    firewall: Firewall
    keys: Keys
    storage: Storage
    log_group: aws.cloudwatch.LogGroup
    parameters: Parameters
    balancer: Balancer
    vault: Vault | None


@dataclass(frozen=True)
class Slot:
    """The processes of one slot."""

    shards: Sequence[Shard]
    routers: Routers
    indexer: Indexer
    generators: LoadGenerators | None


def deploy(*, for_real: bool = False) -> None:
    """
    Register every resource of the stack whose configuration Pulumi has loaded, and export its outputs.

    `for_real`: machines will boot, so what they install and load has to be built, and nothing may be an example's
    placeholder. A review does without.
    """
    settings, region = configured()
    if for_real:
        _refuse_placeholders(settings)
    plan = plan_for(settings)
    programs = Programs(_wheels(settings, required=for_real), _model(settings, required=for_real))
    base = _foundation(settings, region, plan, programs)
    slot = _slot(base, plan)
    _export(base, plan, slot, _watch(base, slot))


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
    if settings.vault is not None and settings.vault.region == region:
        raise ConfigError(
            f"Configuration key {NAMESPACE}:vault.region is {region}, the stack's own; allowed: another region, or a "
            f"disaster takes both. Change it with `pulumi config set --path {NAMESPACE}:vault.region …`."
        )
    return settings, region


def _refuse_placeholders(settings: Settings) -> None:
    """Raise ConfigError, one sentence per placeholder, unless the AWS that is asked is an emulated one."""
    found = placeholders(settings)
    if found and not is_rehearsed(pulumi.runtime.config.CONFIG.get()):
        raise ConfigError("\n".join(sentence for _, sentence in found))


def _foundation(settings: Settings, region: str, plan: Plan, programs: Programs) -> Foundation:
    network = Network(settings, region)
    firewall = Firewall(settings, network)
    account = network.vpc.owner_id
    keys = Keys(settings, account, region)
    logs = AccessLogs(settings, account, region)
    network.log_flows(logs)
    storage = Storage(settings, Ground(account, keys, logs), artifact.build(), programs.wheels, programs.model)
    return Foundation(
        settings=settings,
        region=region,
        types=types_by_role(settings, plan),
        network=network,
        firewall=firewall,
        keys=keys,
        storage=storage,
        log_group=log_group(settings, keys),
        parameters=Parameters(settings, plan, storage),
        balancer=Balancer(settings, network, firewall, logs),
        vault=_vault(settings, storage, keys, account),
    )


def _vault(settings: Settings, storage: Storage, keys: Keys, account: pulumi.Output[str]) -> Vault | None:
    if settings.vault is None:
        return None
    return Vault(settings, settings.vault, storage, keys, account, provider(settings.vault.region))


def _wheels(settings: Settings, *, required: bool) -> wheelhouse.Wheelhouse | None:
    """
    The built wheelhouse; None where nobody needs one, or it isn't built and not required.

    Raises ConfigError for a stale one, and for none where instances would boot and give up.
    """
    if not settings.wheelhouse:
        return None
    try:
        found = wheelhouse.built(artifact.PROJECT_ROOT)
    except wheelhouse.REFUSALS as error:
        raise ConfigError(str(error)) from None
    if found is None and required:
        raise ConfigError(
            "The wheels that instances install are not built; run `make artifact` first, or set "
            f"{NAMESPACE}:wheelhouse to false for an image that brings them along."
        )
    return found


def _model(settings: Settings, *, required: bool) -> model_files.ModelFiles | None:
    """The packed model; None with another provider, or where it isn't packed and not required. Raises ConfigError."""
    if settings.embedding.provider != "onnx":
        return None
    version = settings.embedding.version
    found = model_files.packed(artifact.PROJECT_ROOT, version)
    if found is None and required:
        raise ConfigError(
            f"The files of model {settings.embedding.model}, version {version}, are not packed here; run "
            "`python -m infra model FOLDER` with the folder that holds them."
        )
    return found


def _slot(base: Foundation, plan: Plan) -> Slot:
    settings = base.settings
    subnets = dict(zip(settings.zones, base.network.private_subnets, strict=True))
    indexer = Indexer(_group_args(base, "indexer"), settings.indexing)
    # An indexer makes the slot's first build, without which no node gets ready.
    shards = _shards(base, plan, {zone: subnet.id for zone, subnet in subnets.items()}, indexer)
    indexer.run_by_schedule([cell.instances.group for shard in shards for cell in shard.cells])
    return Slot(
        shards=shards,
        routers=Routers(
            _group_args(base, "router"),
            base.balancer.target_groups[settings.slot].arn,
            plan.routers,
            _scaling(base, plan),
        ),
        indexer=indexer,
        generators=_generators(base),
    )


def _generators(base: Foundation) -> LoadGenerators | None:
    maximum = base.settings.load_generators.maximum
    return LoadGenerators(_group_args(base, "generator"), maximum) if maximum else None


def _scaling(base: Foundation, plan: Plan) -> Scaling:
    settings = base.settings
    group = base.balancer.target_groups[settings.slot]
    return Scaling(
        maximum=settings.maximum_routers or min(MAX_ROUTERS, ROUTER_GROWTH * plan.routers),
        queries_per_second=plan.workload.router_queries_per_second,
        label=pulumi.Output.concat(base.balancer.balancer.arn_suffix, "/", group.arn_suffix),
    )


def _shards(base: Foundation, plan: Plan, subnets: dict[str, pulumi.Output[str]], indexer: Indexer) -> list[Shard]:
    common = _group_args(base, "node", plan.disk)
    common = replace(common, first_boot=[*common.first_boot, indexer.instances.group])
    return [
        Shard(number, [place for place in plan.placements if place.shard == number], subnets, common)
        for number in range(plan.shards)
    ]


def _group_args(base: Foundation, role: str, disk: Disk = SMALLEST_DISK) -> GroupArgs:
    settings, network = base.settings, base.network
    known = grounds(settings, base.storage, base.keys, base.log_group, base.parameters.arn)
    identity = Identity(settings, role, known)
    return GroupArgs(
        role=Role(
            name=role,
            fleet=settings.fleet,
            slot=settings.slot,
            region=base.region,
            parameters=base.parameters.prefix,
            traces=settings.traces,
            configuration=digest(settings),
        ),
        image=settings.ami_id,
        instance_types=base.types[role],
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
        *base.storage.ready,
        *(base.vault.copies if base.vault else ()),
        base.log_group,
        *balancer,
    ]


def _watch(base: Foundation, slot: Slot) -> Alarms:
    settings = base.settings
    suffix = base.balancer.balancer.arn_suffix
    cells = [cell for shard in slot.shards for cell in shard.cells]
    recovery = settings.objectives.recovery_time_seconds
    groups = {
        f"{cell.placement.shard}-{cell.placement.replica}": Group(cell.instances.group.name, recovery) for cell in cells
    }
    groups["router"] = Group(slot.routers.instances.group.name)
    if settings.indexing.mode == "realtime":
        groups["indexer"] = Group(slot.indexer.instances.group.name)
    rules = base.vault.rules if base.vault else ()
    alarms = Alarms(settings, base.keys, base.region, balancer=suffix, groups=groups, rules=rules)
    child = pulumi.ResourceOptions(parent=alarms)
    watches = [*alarms.watches, *(base.vault.alarms.watches if base.vault else ())]
    dashboard(settings, watches, len(slot.shards), base.region, child)
    if settings.monthly_budget_usd is not None:
        budget(settings, settings.monthly_budget_usd, alarms.topic.arn, child)
    return alarms


def _export(base: Foundation, plan: Plan, slot: Slot, alarms: Alarms) -> None:
    settings, buckets = base.settings, base.storage.names
    outputs: dict[str, pulumi.Input[object]] = {
        "fleet": settings.fleet,
        "region": base.region,
        "slot": settings.slot,
        "endpoint": base.balancer.endpoint,
        "load_balancer": base.balancer.balancer.dns_name,
        "shards": plan.shards,
        "replicas": plan.replicas,
        **{f"{role}_bucket": name for role, name in buckets.items()},
        "vault_bucket": base.vault.bucket.bucket.id if base.vault else None,
        "vault_copy_role": base.vault.copy_role.arn if base.vault else None,
        "parameters": base.parameters.prefix,
        "access_keys": naming.access_keys_prefix(settings.fleet),
        "log_group": base.log_group.name,
        "listener_arn": base.balancer.listener.arn,
        "target_groups": {name: group.arn for name, group in base.balancer.target_groups.items()},
        "alerts_topic": alarms.topic.arn,
        "alarms": alarms.names,
        "cells": [cell.described() for shard in slot.shards for cell in shard.cells],
        "router_group": slot.routers.instances.group.name,
        "indexer_group": slot.indexer.instances.group.name,
        "generator_master": (
            {"port": settings.load_generators.master_port, "cidrs": list(settings.load_generators.master_cidrs)}
            if slot.generators
            else None
        ),
        "generator_group": slot.generators.instances.group.name if slot.generators else None,
        "instance_types": {role: list(names) for role, names in base.types.items()},
        "plan": cost.described(plan),
    }
    for name, value in outputs.items():
        pulumi.export(name, value)
