"""Names within the length limits of AWS, also for long fleet names."""

from __future__ import annotations

import hashlib

AUTONAME_SUFFIX = 8  # Pulumi appends a hyphen and seven hex digits

# AWS's longest names by kind of resource, in characters.
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
# The tag of copies in the vault that S3 is to delete as soon as their locks end.
ERASED_TAG = ("vectorfleet:erased", "true")
FLEET_SCOPE = "fleet"  # beside the slots: the alarms that are of no slot


def fit(name: str, limit: int) -> str:
    """
    Return the name, cut and ended by a digest of the whole if it is longer than `limit` characters.

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
    Return a Pulumi name from which Pulumi makes a physical name within AWS's limit.

    >>> logical("target_group", "rehearsal", "blue")
    'rehearsal-blue'
    """
    return fit("-".join((fleet, *parts)), LIMITS[kind] - AUTONAME_SUFFIX)


def alarm(fleet: str, scope: str, name: str) -> str:
    """Return the fixed name of an alarm of a slot, or of FLEET_SCOPE, by which runbooks and drills find it."""
    return fit(f"{fleet}-{scope}-{name}", LIMITS["alarm"])


def log_group(fleet: str, name: str) -> str:
    """Return the fixed name of a log group, to which instances write before they read the stack's parameters."""
    return f"/vectorfleet/{fleet}/{name}"


def partition(region: str) -> str:
    """
    Return the partition of a region, as ARNs name it.

    >>> partition("eu-central-1"), partition("us-gov-west-1"), partition("cn-north-1")
    ('aws', 'aws-us-gov', 'aws-cn')
    """
    return {"us-gov": "aws-us-gov", "cn": "aws-cn"}.get(region.rsplit("-", 2)[0], "aws")


def parameters_prefix(fleet: str) -> str:
    """Return the path of a fleet's parameters, without a slash at its end."""
    return f"/vectorfleet/{fleet}"


def access_keys_prefix(fleet: str) -> str:
    """Return the path of the API keys. It is apart from the parameters, since only routers may read it."""
    return f"/vectorfleet-keys/{fleet}"


def embedding_secret(fleet: str, slot: str = "") -> str:
    """Return the secret parameter with the key for the embedding model's server, or for a server of a slot's own."""
    return "/".join(("/vectorfleet-secrets", fleet, *((slot,) if slot else ()), "embedding"))


def parameter(fleet: str, key: str) -> str:
    """Return the fixed name of a parameter, by which processes find it; a slot's own keys begin with the slot."""
    return f"{parameters_prefix(fleet)}/{key}"
