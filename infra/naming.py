"""Names within the length limits of AWS, also for long fleet names."""

from __future__ import annotations

import hashlib

AUTONAME_SUFFIX = 8  # Pulumi appends a hyphen and seven hex digits

# Longest physical name AWS takes, by what is named.
LIMITS = {
    "load_balancer": 32,
    "target_group": 32,
    "bucket": 63,
    "role": 64,
    "launch_template": 128,
    "instance_profile": 128,
    "group": 255,
    "security_group": 255,
    "topic": 256,
    "alarm": 255,
    "dashboard": 255,
    "parameter": 1011,
}
DIGEST_LENGTH = 6


def fit(name: str, limit: int) -> str:
    """
    The name itself, or its head and a digest of all of it when it is longer than `limit` characters.

    >>> fit("short", 20)
    'short'
    >>> len(fit("a-very-long-name-indeed", 16))
    16
    """
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST_LENGTH]
    return name[: limit - DIGEST_LENGTH - 1].rstrip("-") + "-" + digest


def logical(kind: str, fleet: str, *parts: str) -> str:
    """
    A Pulumi name short enough that the physical name made from it fits AWS's limit for that kind.

    >>> logical("target_group", "rehearsal", "blue")
    'rehearsal-blue'
    """
    return fit("-".join((fleet, *parts)), LIMITS[kind] - AUTONAME_SUFFIX)


def alarm(fleet: str, slot: str, name: str) -> str:
    """The fixed name of an alarm: runbooks and drills look it up."""
    return fit(f"{fleet}-{slot}-{name}", LIMITS["alarm"])


def log_group(fleet: str, name: str) -> str:
    """The fixed name of a log group: instances write to it before they know of the stack."""
    return f"/vectorfleet/{fleet}/{name}"


def partition(region: str) -> str:
    """
    The part of AWS that a region belongs to, as ARNs name it.

    >>> partition("eu-central-1"), partition("us-gov-west-1"), partition("cn-north-1")
    ('aws', 'aws-us-gov', 'aws-cn')
    """
    return {"us-gov": "aws-us-gov", "cn": "aws-cn"}.get(region.rsplit("-", 2)[0], "aws")


def parameters_prefix(fleet: str) -> str:
    """The path below which a fleet's parameters stand, without a slash at its end."""
    return f"/vectorfleet/{fleet}"


def access_keys_prefix(fleet: str) -> str:
    """The path below which the API's keys stand: apart from the parameters, since only routers may read them."""
    return f"/vectorfleet-keys/{fleet}"


def embedding_secret(fleet: str) -> str:
    """The name of the secret parameter with the key for the embedding model's server; apart from the rest, too."""
    return f"/vectorfleet-secrets/{fleet}/embedding"


def parameter(fleet: str, key: str) -> str:
    """The fixed name of a parameter: processes look it up."""
    return f"{parameters_prefix(fleet)}/{key}"
