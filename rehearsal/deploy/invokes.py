"""Functions of the provider that a program may call, answered by the emulated AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.errors import UnsupportedError
from rehearsal.deploy.state import Properties


def answer(token: str, arguments: Properties, cloud: Cloud) -> Properties:
    """The function's result; UnsupportedError for a function or an argument that is not modelled."""
    function = FUNCTIONS.get(token)
    if function is None:
        raise UnsupportedError(
            f"the function {token} is not answered by the embedded deployer; it answers {', '.join(sorted(FUNCTIONS))}"
        )
    unknown = sorted(set(arguments) - ALLOWED.get(token, frozenset()) - {"region"})
    if unknown:
        raise UnsupportedError(f"the function {token} is not answered with the argument {unknown[0]}; leave it out")
    return function(cloud, arguments)


def _identity(cloud: Cloud, _: Properties) -> Properties:
    caller = cloud.client("sts").get_caller_identity()
    account = caller["Account"]
    return {"accountId": account, "arn": caller["Arn"], "userId": caller["UserId"], "id": account}


def _region(cloud: Cloud, _: Properties) -> Properties:
    name = cloud.region
    return {"name": name, "region": name, "id": name, "endpoint": f"ec2.{name}.amazonaws.com"}


def _partition(cloud: Cloud, _: Properties) -> Properties:
    return {"partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws", "id": "aws"}


def _zones(cloud: Cloud, arguments: Properties) -> Properties:
    filters = [{"Name": "state", "Values": [arguments["state"]]}] if "state" in arguments else []
    zones = cloud.client("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
    names = sorted((zone["ZoneName"], zone["ZoneId"]) for zone in zones)
    return {"names": [n for n, _ in names], "zoneIds": [i for _, i in names], "id": cloud.region}


FUNCTIONS: Mapping[str, Callable[[Cloud, Properties], Properties]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region,
}
ALLOWED: Mapping[str, frozenset[str]] = {"aws:index/getAvailabilityZones:getAvailabilityZones": frozenset({"state"})}
