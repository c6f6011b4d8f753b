"""What the values of a configuration demand of each other. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network

from infra import cron
from infra.catalog import BY_NAME
from infra.model_files import VERSION, VERSION_DIGITS
from infra.sections import Capacity
from infra.settings import LOG_RETENTION_DAYS, Settings

WORDLLAMA_DIMS = (64, 128, 256)
RESERVED = ("internal-", "sg-")  # of load balancers and of security groups, whose names begin with the fleet's
DIFFERENT_NETWORKS = "different IPv4 networks such as 10.0.0.0/8"
# Beyond what any machine does, and far from where sums of floating-point numbers end.
MOST_VECTORS = 10**12
LEAST_QUERIES, MOST_QUERIES = 0.001, 1_000_000_000
MOST_VCPUS = 1024
RATE_ALLOWED = f"queries per second from {LEAST_QUERIES} to {MOST_QUERIES}"
REGIONAL = re.compile(r"(us|us-gov|eu|apac|jp|au|ca|global)\.")

# A dotted key, whether its value is refused, and what is allowed.
Findings = tuple[tuple[str, bool, str], ...]


def findings(settings: Settings) -> Findings:
    """Every demand that one value makes on another: key, whether it is broken, and what is allowed."""
    return (
        *_size_findings(settings),
        *_network_findings(settings),
        *_front_findings(settings),
        (
            "fleet",
            settings.fleet.startswith(RESERVED),
            f"a name that begins otherwise: AWS keeps {' and '.join(RESERVED)}",
        ),
        *_embedding_findings(settings),
        *_traces_findings(settings),
        *_slot_findings(settings),
        *_watching_findings(settings),
        ("instanceTypes", bool(_unknown_types(settings)), f"types of the catalog: {', '.join(BY_NAME)}"),
    )


def _slot_findings(settings: Settings) -> Findings:
    return (
        (
            "chunking.overlap",
            settings.chunking.overlap >= settings.chunking.size,
            f"less than chunking.size, {settings.chunking.size}",
        ),
        (
            "healthCheck.timeoutSeconds",
            settings.health_check.timeout_seconds >= settings.health_check.interval_seconds,
            f"less than healthCheck.intervalSeconds, {settings.health_check.interval_seconds}",
        ),
        (
            "minimumReplicas",
            settings.minimum_replicas > len(settings.zones),
            f"at most {len(settings.zones)}, one replica of a shard per zone",
        ),
        (
            "shards",
            settings.shards is not None and settings.shards < settings.minimum_shards,
            f"at least minimumShards, {settings.minimum_shards}, or none",
        ),
        (
            "weights",
            getattr(settings.weights, settings.slot) == 0,
            f"a weight above 0 for {settings.slot}, this stack's slot, or nobody serves",
        ),
    )


def _watching_findings(settings: Settings) -> Findings:
    """Times and periods: what is looked at how often, and kept how long."""
    return (
        (
            "alarmPeriodSeconds",
            settings.alarm_period_seconds not in (10, 30) and settings.alarm_period_seconds % 60 != 0,
            "10, 30, or a multiple of 60: CloudWatch has no other periods",
        ),
        (
            "indexing.schedule",
            bool(wrong := cron.problem(settings.indexing.schedule)),
            f"five fields of Unix cron in UTC; {wrong}",
        ),
        (
            "indexing.batchMinutes",
            int(settings.indexing.schedule.split(" ")[0]) + settings.indexing.batch_minutes > 59,
            "few enough to end within the hour in which the schedule begins",
        ),
        (
            "logRetentionDays",
            settings.log_retention_days not in LOG_RETENTION_DAYS,
            ", ".join(map(str, LOG_RETENTION_DAYS)),
        ),
    )


def is_rate(value: float) -> bool:
    """Whether so many queries per second can be planned with; infinity and what is not a number can not."""
    return LEAST_QUERIES <= value <= MOST_QUERIES


def is_capacity(capacity: Capacity) -> bool:
    """Whether a process may have been measured to carry that."""
    return is_rate(capacity.queries_per_second) and capacity.vcpus <= MOST_VCPUS


def _size_findings(settings: Settings) -> Findings:
    capacities = {
        "capacityPerReplica": settings.capacity_per_replica,
        "capacityPerRouter": settings.capacity_per_router,
    }
    return (
        ("vectors", settings.vectors > MOST_VECTORS, f"a whole number from 1 to {MOST_VECTORS}"),
        ("peakQueriesPerSecond", not is_rate(settings.peak_queries_per_second), RATE_ALLOWED),
        ("minimumShards", settings.minimum_shards > MOST_VECTORS, "no more than there are vectors"),
        *(
            (f"{key}.queriesPerSecond", not is_rate(capacity.queries_per_second), RATE_ALLOWED)
            for key, capacity in capacities.items()
        ),
        *(
            (f"{key}.vcpus", capacity.vcpus > MOST_VCPUS, f"a whole number of vCPUs from 1 to {MOST_VCPUS}")
            for key, capacity in capacities.items()
        ),
    )


def _front_findings(settings: Settings) -> Findings:
    return (
        (
            "certificateArn",
            not settings.internal and settings.certificate_arn is None,
            "the ARN of an ACM certificate when internal is false: nothing plain goes over the internet",
        ),
        (
            "hostname",
            settings.certificate_arn is not None and settings.hostname is None,
            "the name that the certificate is for: no certificate names the load balancer's own",
        ),
        (
            "hostedZoneId",
            settings.hosted_zone_id is not None and settings.hostname is None,
            "none without hostname, the name to be put into the zone",
        ),
    )


def _embedding_findings(settings: Settings) -> Findings:
    embedding = settings.embedding
    own, elsewhere = embedding.provider == "wordllama", embedding.provider == "openai"
    return (
        ("embedding.dims", embedding.dims != settings.dims, f"the same as dims, {settings.dims}"),
        (
            "embedding.dims",
            own and embedding.dims not in WORDLLAMA_DIMS,
            f"{', '.join(map(str, WORDLLAMA_DIMS))} with wordllama, or another embedding.provider",
        ),
        (
            "embedding.url",
            elsewhere != (embedding.url is not None),
            "a base URL with provider openai, and none with another",
        ),
        (
            "index.metric",
            embedding.provider != "given" and settings.index.metric != "cosine",
            "cosine, which says all of the unit vectors that texts become; ip and l2 with embedding.provider given",
        ),
        *_model_findings(settings),
        ("embedding.url", embedding.port == 0, "a base URL with a port from 1 to 65535, or none"),
        (
            "embedding.cidrs",
            not _are_networks(embedding.cidrs),
            DIFFERENT_NETWORKS,
        ),
    )


def _model_findings(settings: Settings) -> Findings:
    embedding = settings.embedding
    return (
        (
            "embedding.model",
            embedding.provider == "given" and embedding.model == "wordllama",
            "the name of the model that the given vectors come from, with its embedding.version",
        ),
        (
            "embedding.model",
            embedding.provider == "onnx" and embedding.model == "wordllama",
            "the name of the packed model, with the embedding.version that `python -m infra model` says",
        ),
        (
            "embedding.version",
            embedding.provider == "onnx" and not re.fullmatch(VERSION, embedding.version),
            f"the {VERSION_DIGITS} hexadecimal digits that `python -m infra model FOLDER` says",
        ),
        (
            "embedding.model",
            embedding.provider == "bedrock" and bool(REGIONAL.match(embedding.model)),
            "the id of a model itself: an inference profile such as us.… spans regions, which the roles may not",
        ),
    )


def _traces_findings(settings: Settings) -> Findings:
    traces = settings.traces
    return (
        ("traces.endpoint", traces.port == 0, "a base URL with a port from 1 to 65535, or none"),
        (
            "traces.cidrs",
            not _are_networks(traces.cidrs),
            DIFFERENT_NETWORKS,
        ),
    )


def _network_findings(settings: Settings) -> Findings:
    masters = settings.load_generators.master_cidrs
    bad = [cidr for cidr in (settings.vpc_cidr, *settings.client_cidrs, *masters) if not _is_network(cidr)]
    size_bad = not bad and not 16 <= IPv4Network(settings.vpc_cidr).prefixlen <= 22
    return (
        ("zones", len(set(settings.zones)) != len(settings.zones), "different Availability Zones, each once"),
        (
            "vpcCidr",
            settings.vpc_cidr in bad or size_bad,
            "an IPv4 network from /16 to /22: a load balancer alone wants eight free addresses in each subnet",
        ),
        (
            "clientCidrs",
            any(cidr in bad for cidr in settings.client_cidrs),
            "IPv4 networks such as 10.0.0.0/8",
        ),
        (
            "loadGenerators.masterCidrs",
            not _are_networks(masters),
            DIFFERENT_NETWORKS,
        ),
        (
            "loadGenerators.maximum",
            not settings.internal and settings.load_generators.maximum > 0,
            "0 when internal is false: without a way to the internet they can't reach a public load balancer",
        ),
        (
            "clientCidrs",
            not settings.internal and not settings.client_cidrs,
            "at least one network when internal is false: the VPC itself is all it would admit",
        ),
    )


def _unknown_types(settings: Settings) -> list[str]:
    return [name for name in settings.instance_types or () if name not in BY_NAME]


def _are_networks(cidrs: Sequence[str]) -> bool:
    return all(map(_is_network, cidrs)) and len(set(cidrs)) == len(cidrs)


def _is_network(cidr: str) -> bool:
    try:
        IPv4Network(cidr)
    except ValueError:
        return False
    return True
