"""The Pulumi program: from configuration over the plan to components and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from infra import PROJECT_ROOT
from infra.boot import artifact, model_files, wheelhouse
from infra.boot.user_data import Role
from infra.components.alarms import Alarms, Group, SlotAlarms
from infra.components.balancer import Balancer
from infra.components.budget import budget
from infra.components.cell import Cell
from infra.components.dashboard import dashboard
from infra.components.firewall import Firewall
from infra.components.generators import LoadGenerators
from infra.components.group import GroupArgs
from infra.components.identity import Identity, grounds
from infra.components.indexers import Indexer
from infra.components.keys import Keys
from infra.components.logs import AccessLogs, log_group
from infra.components.network import Network
from infra.components.parameters import Parameters, digest
from infra.components.provider import provider
from infra.components.routers import Routers, Scaling
from infra.components.shard import Shard
from infra.components.storage import Ground, Storage
from infra.components.vault import Vault
from infra.configuration.settings import Settings, SlotSettings
from infra.configuration.stack_file import is_rehearsed, own_values
from infra.configuration.stack_settings import NAMESPACE, ConfigError, placeholders, settings_from
from infra.facts import naming
from infra.facts.instance_types import SMALLEST_DISK, Disk
from infra.planning import cost
from infra.planning.plan import Plan, Plans, plans_for, types_by_role
from infra.planning.zone_loss import MAX_ROUTERS

ROUTER_GROWTH = 2  # the router group may grow to this multiple of the planned routers, unless maximumRouters is set


@dataclass(frozen=True)
class Foundation:
    """The resources that slots share and that exist before any instance."""

    settings: Settings
    region: str
    network: Network
    firewall: Firewall
    keys: Keys
    storage: Storage
    models: Mapping[str, model_files.ModelFiles]
    log_group: aws.cloudwatch.LogGroup
    parameters: Parameters
    identities: Mapping[str, Identity]
    balancer: Balancer
    vault: Vault | None


@dataclass(frozen=True)
class Slot:
    """One slot with its plan and its instances."""

    settings: SlotSettings
    plan: Plan
    shards: Sequence[Shard]
    routers: Routers
    indexer: Indexer

    @property
    def cells(self) -> list[Cell]:
        """Every cell of every shard."""
        return [cell for shard in self.shards for cell in shard.cells]

    @property
    def groups(self) -> dict[str, Group]:
        """The groups that alarms watch, by a short name."""
        recovery = self.settings.objectives.recovery_time_seconds
        groups = {
            f"{cell.placement.shard}-{cell.placement.replica}": Group(cell.instances.group.name, recovery)
            for cell in self.cells
        }
        groups["router"] = Group(self.routers.instances.group.name)
        if self.settings.indexing.mode == "realtime":
            groups["indexer"] = Group(self.indexer.instances.group.name)
        return groups

    def described(self, alarms: SlotAlarms) -> dict[str, object]:
        """Return the slot's part of the stack output `slots`."""
        types = types_by_role(self.settings, self.plan)
        return {
            "shards": self.plan.shards,
            "replicas": self.plan.replicas,
            "cells": [cell.described() for cell in self.cells],
            "router_group": self.routers.instances.group.name,
            "indexer_group": self.indexer.instances.group.name,
            "instance_types": {role: list(names) for role, names in types.items()},
            "alarms": alarms.names,
        }


def deploy(*, for_real: bool = False) -> None:
    """
    Register every resource of the stack whose configuration Pulumi has loaded, and export its outputs.

    `for_real` means that instances will boot: wheels and model must be built, and no value may be a placeholder.
    """
    settings, region = configured()
    if for_real and not is_rehearsed(pulumi.runtime.config.CONFIG.get()):
        _refuse_placeholders(settings)
    plans = plans_for(settings)
    base = _foundation(settings, region, plans, for_real=for_real)
    slots = [_slot(base, one, plans[one.slot]) for one in settings.deployed]
    generators = _generators(base, slots[0])
    alarms = Alarms(
        settings,
        base.keys,
        region,
        balancer=base.balancer.balancer.arn_suffix,
        rules=base.vault.rules if base.vault else (),
    )
    described: dict[str, Mapping[str, object]] = {
        slot.settings.slot: slot.described(_watch(base, alarms, slot)) for slot in slots
    }
    if settings.monthly_budget_usd is not None:
        budget(settings, settings.monthly_budget_usd, alarms.topic.arn, pulumi.ResourceOptions(parent=alarms))
    _export(base, plans, described, alarms, generators)


def configured() -> tuple[Settings, str]:
    """Return settings and region of the stack. Raises ConfigError."""
    settings, region = settings_from(own_values(pulumi.runtime.config.CONFIG.get())), aws.config.region
    if not region:
        raise ConfigError("Configuration key aws:region is missing. Set it with `pulumi config set aws:region …`.")
    elsewhere = [zone for zone in settings.zones if not zone.startswith(region)]
    if elsewhere:
        raise ConfigError(
            f"Configuration key {NAMESPACE}:zones has {', '.join(elsewhere)}; allowed: zones of {region}. "
            f"Change it with `pulumi config set --path {NAMESPACE}:zones[0] …`."
        )
    if settings.vault is not None and settings.vault.region == region:
        raise ConfigError(
            f"Configuration key {NAMESPACE}:vault.region is {region}, the stack's own; allowed: another region, since "
            f"a disaster may hit a whole region. Change it with `pulumi config set --path {NAMESPACE}:vault.region …`."
        )
    return settings, region


def _refuse_placeholders(settings: Settings) -> None:
    """Raise ConfigError, one sentence per placeholder."""
    if found := placeholders(settings):
        raise ConfigError("\n".join(sentence for _, sentence in found))


def _foundation(settings: Settings, region: str, plans: Plans, *, for_real: bool) -> Foundation:
    # Refused before any resource is registered.
    wheels, models = _wheels(settings, required=for_real), _models(settings, required=for_real)
    network = Network(settings, region)
    firewall = Firewall(settings, network)
    account = network.vpc.owner_id
    keys = Keys(settings, account, region)
    logs = AccessLogs(settings, account, region)
    network.log_flows(logs)
    storage = Storage(settings, Ground(account, keys, logs), artifact.build(), wheels, list(models.values()))
    logs_of_processes = log_group(settings, keys)
    parameters = Parameters(settings, plans, storage)
    known = grounds(settings, storage, keys, logs_of_processes, parameters.arn)
    return Foundation(
        settings=settings,
        region=region,
        network=network,
        firewall=firewall,
        keys=keys,
        storage=storage,
        models=models,
        log_group=logs_of_processes,
        parameters=parameters,
        identities={role: Identity(settings, role, known) for role in firewall.processes},
        balancer=Balancer(settings, network, firewall, logs),
        vault=(
            Vault(settings, settings.vault, storage, keys, account, provider(settings.vault.region))
            if settings.vault
            else None
        ),
    )


def _wheels(settings: Settings, *, required: bool) -> wheelhouse.Wheelhouse | None:
    """
    Return the built wheelhouse; None if no instance needs one, or if it is neither built nor required.

    Raises ConfigError if it is stale, or if it is required and missing.
    """
    if not settings.wheelhouse:
        return None
    try:
        found = wheelhouse.built(PROJECT_ROOT)
    except wheelhouse.REFUSALS as error:
        raise ConfigError(str(error)) from None
    if found is None and required:
        raise ConfigError(
            "The wheels that instances install are not built; run `make artifact`, or set "
            f"{NAMESPACE}:wheelhouse to false if the image has the packages."
        )
    return found


def _models(settings: Settings, *, required: bool) -> dict[str, model_files.ModelFiles]:
    """Return the packed models of the slots, by version. Raises ConfigError if one is required and not packed."""
    wanted = {one.embedding.version: one.embedding for one in settings.deployed if one.embedding.provider == "onnx"}
    found = {version: model_files.packed(PROJECT_ROOT, version) for version in wanted}
    missing = [wanted[version] for version, model in found.items() if model is None]
    if missing and required:
        raise ConfigError(
            f"The files of model {missing[0].model}, version {missing[0].version}, are not packed here; run "
            "`vectorfleet model FOLDER` with the folder of its files."
        )
    return {version: model for version, model in found.items() if model is not None}


def _slot(base: Foundation, settings: SlotSettings, plan: Plan) -> Slot:
    types = types_by_role(settings, plan)
    indexer = Indexer(_group_args(base, settings, "indexer", types), settings.indexing)
    shards = _shards(base, _group_args(base, settings, "node", types, plan.disk), plan, indexer)
    indexer.run_by_schedule([cell.instances.group for shard in shards for cell in shard.cells])
    routers = _routers(base, _group_args(base, settings, "router", types), plan)
    return Slot(settings, plan, shards, routers, indexer)


def _generators(base: Foundation, slot: Slot) -> LoadGenerators | None:
    """Register the fleet's load generators; names and tags are those of its first slot."""
    maximum, types = base.settings.load_generators.maximum, types_by_role(slot.settings, slot.plan)
    return LoadGenerators(_group_args(base, slot.settings, "generator", types), maximum) if maximum else None


def _shards(base: Foundation, common: GroupArgs, plan: Plan, indexer: Indexer) -> list[Shard]:
    subnets = zip(base.settings.zones, base.network.private_subnets, strict=True)
    ids = {zone: subnet.id for zone, subnet in subnets}
    # The indexer makes the slot's first build. No node becomes ready without it.
    common = replace(common, first_boot=[*common.first_boot, indexer.instances.group])
    return [
        Shard(number, [place for place in plan.placements if place.shard == number], ids, common)
        for number in range(plan.shards)
    ]


def _routers(base: Foundation, common: GroupArgs, plan: Plan) -> Routers:
    group = base.balancer.target_groups[common.role.slot]
    scaling = Scaling(
        maximum=base.settings.maximum_routers or min(MAX_ROUTERS, ROUTER_GROWTH * plan.routers),
        queries_per_second=plan.workload.router_queries_per_second,
        label=pulumi.Output.concat(base.balancer.balancer.arn_suffix, "/", group.arn_suffix),
    )
    return Routers(common, group.arn, plan.routers, scaling)


def _group_args(
    base: Foundation,
    settings: SlotSettings,
    role: str,
    types: Mapping[str, Sequence[str]],
    disk: Disk = SMALLEST_DISK,
) -> GroupArgs:
    network, identity = base.network, base.identities[role]
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
        instance_types=types[role],
        subnets=[subnet.id for subnet in network.private_subnets],
        security_group=base.firewall.groups[role].id,
        profile_arn=identity.profile.arn,
        storage=base.storage,
        size=1,
        first_boot=_first_boot(base, identity, role),
        grace_seconds=settings.objectives.recovery_time_seconds,
        disk=disk,
        model=base.models.get(settings.embedding.version) if settings.embedding.provider == "onnx" else None,
    )


def _first_boot(base: Foundation, identity: Identity, role: str) -> list[pulumi.Resource]:
    """Return what an Auto Scaling group does not refer to, but without which the boot of an instance fails."""
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


def _watch(base: Foundation, alarms: Alarms, slot: Slot) -> SlotAlarms:
    """Register a slot's alarms, and its dashboard with those of the fleet."""
    settings = slot.settings
    own = alarms.of_slot(settings, base.balancer.target_groups[settings.slot].arn_suffix, slot.groups)
    watches = [*own.watches, *alarms.watches, *(base.vault.alarms.watches if base.vault else ())]
    dashboard(settings, watches, len(slot.shards), base.region, pulumi.ResourceOptions(parent=alarms))
    return own


def _export(
    base: Foundation,
    plans: Plans,
    slots: Mapping[str, Mapping[str, object]],
    alarms: Alarms,
    generators: LoadGenerators | None,
) -> None:
    settings, buckets = base.settings, base.storage.names
    outputs: dict[str, pulumi.Input[object]] = {
        "fleet": settings.fleet,
        "region": base.region,
        "slots": slots,
        "endpoint": base.balancer.endpoint,
        "load_balancer": base.balancer.balancer.dns_name,
        **{f"{role}_bucket": name for role, name in buckets.items()},
        "vault_bucket": base.vault.bucket.bucket.id if base.vault else None,
        "vault_copy_role": base.vault.copy_role.arn if base.vault else None,
        "parameters": base.parameters.prefix,
        "access_keys": naming.access_keys_prefix(settings.fleet),
        "log_group": base.log_group.name,
        "listener_arn": base.balancer.listener.arn,
        "target_groups": {name: group.arn for name, group in base.balancer.target_groups.items()},
        "alerts_topic": alarms.topic.arn,
        "generator_master": (
            {"port": settings.load_generators.master_port, "cidrs": list(settings.load_generators.master_cidrs)}
            if generators
            else None
        ),
        "generator_group": generators.instances.group.name if generators else None,
        "plan": cost.described(plans),
    }
    for name, value in outputs.items():
        pulumi.export(name, value)
