"""Rules by which the values of a configuration fit together. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network

from infra.configuration.settings import LOG_RETENTION_DAYS, Settings, SlotSettings
from infra.configuration.settings_sections import MODEL_VERSION_DIGITS, Capacity
from infra.facts import cron
from infra.facts.instance_types import BY_NAME
from vectorfleet.slots import SLOTS

WORDLLAMA_DIMS = (64, 128, 256)
RESERVED = ("internal-", "sg-")  # of load balancers and security groups, whose names begin with the fleet's
# No machine reaches these limits, and floating-point arithmetic holds far beyond them.
MOST_VECTORS = 10**12
LEAST_QUERIES, MOST_QUERIES = 0.001, 1_000_000_000
MOST_VCPUS = 1024
RATE_ALLOWED = f"queries per second from {LEAST_QUERIES} to {MOST_QUERIES}"
PORT_ALLOWED = "a base URL with a port from 1 to 65535, or none"
CIDRS_ALLOWED = "different IPv4 networks such as 10.0.0.0/8"
VCPUS_ALLOWED = f"a whole number of vCPUs from 1 to {MOST_VCPUS}"
INFERENCE_PROFILE = re.compile(r"(us|us-gov|eu|apac|jp|au|ca|global)\.")

# A dotted key, whether its value breaks the rule, and the allowed values.
Findings = tuple[tuple[str, bool, str], ...]


def findings(settings: Settings) -> Findings:
    """Return every rule with its outcome."""
    return (
        *_sizes(settings),
        *_networks(settings),
        *_front(settings),
        *_slots(settings),
        *_probes(settings),
        *_times(settings),
    )


def is_rate(value: float) -> bool:
    """Say whether the plan can use a rate; infinity and NaN are none."""
    return LEAST_QUERIES <= value <= MOST_QUERIES


def is_capacity(capacity: Capacity) -> bool:
    """Say whether a process may carry this."""
    return is_rate(capacity.queries_per_second) and capacity.vcpus <= MOST_VCPUS


def _sizes(settings: Settings) -> Findings:
    replica, router = settings.capacity_per_replica, settings.capacity_per_router
    unknown = [name for name in settings.instance_types or () if name not in BY_NAME]
    return (
        ("peakQueriesPerSecond", not is_rate(settings.peak_queries_per_second), RATE_ALLOWED),
        ("minimumShards", settings.minimum_shards > MOST_VECTORS, "no more than there are vectors"),
        ("capacityPerReplica.queriesPerSecond", not is_rate(replica.queries_per_second), RATE_ALLOWED),
        ("capacityPerReplica.vcpus", replica.vcpus > MOST_VCPUS, VCPUS_ALLOWED),
        ("capacityPerRouter.queriesPerSecond", not is_rate(router.queries_per_second), RATE_ALLOWED),
        ("capacityPerRouter.vcpus", router.vcpus > MOST_VCPUS, VCPUS_ALLOWED),
        ("instanceTypes", bool(unknown), f"types of the catalog: {', '.join(BY_NAME)}"),
    )


def _networks(settings: Settings) -> Findings:
    generators, clients = settings.load_generators, settings.client_cidrs
    is_vpc = _is_network(settings.vpc_cidr) and 16 <= IPv4Network(settings.vpc_cidr).prefixlen <= 22
    lists = {
        "loadGenerators.masterCidrs": generators.master_cidrs,
        "traces.cidrs": settings.traces.cidrs,
    }
    return (
        ("zones", len(set(settings.zones)) != len(settings.zones), "different Availability Zones, each once"),
        (
            "vpcCidr",
            not is_vpc,
            "an IPv4 network from /16 to /22: a load balancer alone needs eight free addresses in each subnet",
        ),
        ("clientCidrs", not all(map(_is_network, clients)), "IPv4 networks such as 10.0.0.0/8"),
        ("traces.endpoint", settings.traces.port == 0, PORT_ALLOWED),
        *((key, not _are_networks(cidrs), CIDRS_ALLOWED) for key, cidrs in lists.items()),
        (
            "loadGenerators.maximum",
            not settings.internal and generators.maximum > 0,
            "0 when internal is false: generators have no way to the internet and cannot reach a public load balancer",
        ),
        (
            "clientCidrs",
            not settings.internal and not clients,
            "at least one network when internal is false: without one only the VPC itself is admitted",
        ),
    )


def _front(settings: Settings) -> Findings:
    certificate, hostname = settings.certificate_arn, settings.hostname
    return (
        (
            "certificateArn",
            not settings.internal and certificate is None,
            "the ARN of an ACM certificate when internal is false: the internet carries no plain HTTP of the fleet",
        ),
        (
            "hostname",
            certificate is not None and hostname is None,
            "the name that the certificate is for: no certificate has the load balancer's own name",
        ),
        (
            "hostedZoneId",
            settings.hosted_zone_id is not None and hostname is None,
            "none without hostname, the name to put into the zone",
        ),
        ("fleet", settings.fleet.startswith(RESERVED), f"a name that AWS does not reserve ({', '.join(RESERVED)})"),
    )


def _embedding(settings: SlotSettings) -> Findings:
    embedding = settings.embedding
    return (
        ("embedding.dims", embedding.dims != settings.dims, f"the same as dims, {settings.dims}"),
        (
            "embedding.dims",
            embedding.provider == "wordllama" and embedding.dims not in WORDLLAMA_DIMS,
            f"{', '.join(map(str, WORDLLAMA_DIMS))} with wordllama, or another embedding.provider",
        ),
        (
            "embedding.url",
            (embedding.provider == "openai") != (embedding.url is not None),
            "a base URL with provider openai, and none with another",
        ),
        (
            "index.metric",
            embedding.provider != "given" and settings.index.metric != "cosine",
            "cosine, the same as ip and l2 for the unit vectors of texts; ip and l2 with embedding.provider given",
        ),
        ("embedding.url", embedding.port == 0, PORT_ALLOWED),
        ("embedding.cidrs", not _are_networks(embedding.cidrs), CIDRS_ALLOWED),
    )


def _model(settings: SlotSettings) -> Findings:
    embedding = settings.embedding
    provider, unnamed = embedding.provider, embedding.model == "wordllama"
    is_version = re.fullmatch(rf"[0-9a-f]{{{MODEL_VERSION_DIGITS}}}", embedding.version)
    return (
        (
            "embedding.model",
            provider == "given" and unnamed,
            "the name of the model that the given vectors come from, with its embedding.version",
        ),
        (
            "embedding.model",
            provider == "onnx" and unnamed,
            "the name of the packed model, with the embedding.version that `vectorfleet model` prints",
        ),
        (
            "embedding.version",
            provider == "onnx" and not is_version,
            f"the {MODEL_VERSION_DIGITS} hexadecimal digits that `vectorfleet model FOLDER` prints",
        ),
        (
            "embedding.model",
            provider == "bedrock" and bool(INFERENCE_PROFILE.match(embedding.model)),
            "the id of a model itself: an inference profile such as us.… spans regions, which the roles do not allow",
        ),
    )


def _slots(settings: Settings) -> Findings:
    """Return the rules on slots, and those on each slot's recipe with the key that the recipe comes from."""
    recipes, weights = settings.slots.recipes, settings.weights.model_dump()
    return (
        ("slots", not recipes, "blue, green or both, each an object that may be empty, as in {blue: {}}"),
        *((f"weights.{slot}", weights[slot] > 0 and slot not in recipes, _unserved(slot)) for slot in SLOTS),
        (
            "weights",
            not any(weights.values()),
            "a weight above 0 for a slot that the stack has, or nothing would serve",
        ),
        *(
            (f"slots.{one.slot}.{key}" if key.split(".")[0] in one.recipe.model_fields_set else key, wrong, allowed)
            for one in settings.deployed
            for key, wrong, allowed in (*_recipe(one), *_embedding(one), *_model(one))
        ),
    )


def _unserved(slot: str) -> str:
    return f"0, since the stack has no slot {slot}; nothing would answer there"


def _recipe(settings: SlotSettings) -> Findings:
    chunking, shards = settings.chunking, settings.shards
    return (
        ("vectors", settings.vectors > MOST_VECTORS, f"a whole number from 1 to {MOST_VECTORS}"),
        ("chunking.overlap", chunking.overlap >= chunking.size, f"less than chunking.size, {chunking.size}"),
        (
            "shards",
            shards is not None and shards < settings.minimum_shards,
            f"at least minimumShards, {settings.minimum_shards}, or none",
        ),
    )


def _probes(settings: Settings) -> Findings:
    probe, zones = settings.health_check, len(settings.zones)
    return (
        (
            "healthCheck.timeoutSeconds",
            probe.timeout_seconds >= probe.interval_seconds,
            f"less than healthCheck.intervalSeconds, {probe.interval_seconds}",
        ),
        ("minimumReplicas", settings.minimum_replicas > zones, f"at most {zones}, one replica of a shard per zone"),
    )


def _times(settings: Settings) -> Findings:
    """Return the rules on periods and schedules."""
    period, indexing = settings.alarm_period_seconds, settings.indexing
    wrong = cron.problem(indexing.schedule)
    return (
        (
            "alarmPeriodSeconds",
            period not in (10, 30) and period % 60 != 0,
            "10, 30, or a multiple of 60: CloudWatch has no other periods",
        ),
        ("indexing.schedule", bool(wrong), f"five fields of Unix cron in UTC; {wrong}"),
        (
            "indexing.batchMinutes",
            int(indexing.schedule.split(" ")[0]) + indexing.batch_minutes > 59,
            "few enough to end within the hour in which the schedule begins",
        ),
        (
            "logRetentionDays",
            settings.log_retention_days not in LOG_RETENTION_DAYS,
            ", ".join(map(str, LOG_RETENTION_DAYS)),
        ),
    )


def _are_networks(cidrs: Sequence[str]) -> bool:
    return all(map(_is_network, cidrs)) and len(set(cidrs)) == len(cidrs)


def _is_network(cidr: str) -> bool:
    try:
        IPv4Network(cidr)
    except ValueError:
        return False
    return True
